/**
 * Text from hosts, commits and builds is not ours: written to a terminal as it is, it could move the cursor, rewrite lines above
 * it, set the title or fill the clipboard.
 */

/** OSC, DCS, SOS, PM, APC with their payload, where they are terminated; then CSI; then the two- and three-byte escapes. */
const SEQUENCES = [
  /(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)/g,
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]/g,
  /\x1b[ -/]*[0-~]/g,
];
/** Controls except tab and newline, and the marks that reorder text. Whatever the patterns above missed ends here. */
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** The same text, with nothing in it that a terminal obeys but newline and tab. */
export function neutralise(text: string): string {
  let plain = text;
  for (const sequence of SEQUENCES) plain = plain.replace(sequence, '');
  return plain.replace(/\r\n?/g, '\n').replace(CONTROLS, '');
}

/** For where a newline would forge a line of ours. */
export function oneLine(text: string): string {
  return neutralise(text)
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}

/** Lines of somebody else's text, each set off from ours. */
export function indent(text: string, by: string): string[] {
  return neutralise(text)
    .replace(/\n+$/, '')
    .split('\n')
    .map((line) => `${by}${line}`.trimEnd());
}

/** A JSON document that says the same, and is safe to look at too. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
