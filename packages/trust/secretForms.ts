/** The forms in which a secret may turn up in what a program prints, a message quotes or a log keeps. */

/** Shorter values cannot be told from what is there by chance. Characters. */
export const SHORTEST_SECRET = 6;
/** A line of a secret of several lines is one by itself from this length on: programs print them one by one. Characters. */
const SHORTEST_LINE = 16;

export interface SecretForms {
  /** As it stands. */
  plain: Set<string>;
  /** What programs break into lines of 64 or 76 characters. */
  wrapped: Set<string>;
}

/** Raw, in JSON, in a URL or form, in hexadecimal and in base64, there at every offset that it may have in what was encoded. */
export function formsOf(value: string): SecretForms {
  const plain = new Set<string>();
  const text = value.toWellFormed();
  for (const part of [text, ...longLines(text)]) for (const form of writtenForms(part)) plain.add(form);
  const bytes = Buffer.from(text);
  const hex = bytes.toString('hex');
  return {
    plain: plain,
    wrapped: new Set([hex, hex.toUpperCase(), ...base64Forms(bytes)]),
  };
}

function longLines(text: string): string[] {
  const lines = text.split(/\r?\n/);
  return lines.length < 2 ? [] : lines.filter((line) => line.length >= SHORTEST_LINE);
}

function writtenForms(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const url = encodeURIComponent(text);
  const strict = url.replace(/[!'()*]/g, (mark) => `%${hexOf(mark, 2).toUpperCase()}`);
  const urls = [url, strict, url.replaceAll('%20', '+'), strict.replaceAll('%20', '+')];
  return [
    ...[text, json, inAscii(json), json.replaceAll('/', '\\/'), inAscii(json).replaceAll('/', '\\/')],
    ...[...urls, ...urls.map((each) => each.replace(/%../g, (code) => code.toLowerCase()))],
  ];
}

function inAscii(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${hexOf(unit, 4)}`);
}

function hexOf(unit: string, digits: number): string {
  return unit.charCodeAt(0).toString(16).padStart(digits, '0');
}

/** Only the characters that hold nothing but the secret's own bits: what stands around it changes the others. */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    const own = encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')];
  });
}
