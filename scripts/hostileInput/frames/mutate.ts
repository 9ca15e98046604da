/** Frames that a peer might send, and what becomes of them when somebody plays with them. */
import { encodeChunk } from '@fleet/protocol/codec.ts';
import { AGENT_METHODS, CONTROLLER_METHODS } from '@fleet/protocol/messages/methods.ts';
import type { z } from 'zod';
import { plainHello } from '../../../test/fixtures/evilAgent.ts';
import type { Random } from '../../random/random.ts';
import { badName } from '../names/badNames.ts';
import { type Step, sampleOf, textsOf, withText } from '../names/fields.ts';

export const ODD: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    -1,
    0,
    1.5,
    1e308,
    2 ** 53,
    2 ** 31,
    -0,
    '',
    'x'.repeat(300),
    '\u0000',
    '__proto__',
    [],
    {},
    [[[[]]]],
  ],
  { toString: 1, constructor: {} },
  JSON.parse('{"__proto__":{"a":1},"a":1}'),
];
const DIGEST = 'a'.repeat(64);
const FLEET = '00000000-0000-4000-8000-000000000000';
const COMMAND = { id: 'a:1', fleet: FLEET, epoch: 1, why: 'x' };
const KNOWN = {
  ...{ command: COMMAND, service: 'absent', version: '9.9.9', name: 'x', host: 'fuzz', fleet: FLEET },
  ...{ identity: DIGEST, sha256: DIGEST, size: 1, keep: 2, compression: 'zstd', instance: FLEET },
};
interface Message {
  method: string;
  sample: unknown;
  texts: Step[][];
}
const messageOf = ([method, { request }]: [string, { request: z.ZodType }]): Message => ({
  method,
  sample: method === 'hello' ? plainHello() : sampleOf(request, KNOWN),
  texts: textsOf(request),
});
const MESSAGES = [...Object.entries(AGENT_METHODS), ...Object.entries(CONTROLLER_METHODS)].map(messageOf);

/** A frame in the right form; what is in it may be anything. */
export function plausible(random: Random): Record<string, unknown> {
  const id = 1 + random.below(6);
  const stream = 1 + random.below(8);
  const error = {
    code: random.pick(['internal', 'database_full', 'link_lost', 'x']),
    message: badName(random).slice(0, 500),
  };
  switch (random.weighted({ request: 8, reply: 3, error: 2, open: 2, ack: 2, done: 1, cancel: 1 })) {
    case 'request':
      return { type: 'request', id, ...request(random) };
    case 'reply':
      return { type: 'reply', id, body: random.pick([...ODD, random.pick(MESSAGES).sample]) };
    case 'error':
      return { type: 'error', id, error };
    case 'open':
      return {
        type: 'open',
        // The numbers of those who accept; another one is no number for this end at all.
        stream: 2 + 2 * random.below(1e6),
        name: badName(random).slice(0, 200),
        from: random.below(3) * 100,
        size: random.below(10_000),
      };
    case 'ack':
      return { type: 'ack', stream, offset: random.below(3000) * 1000 };
    case 'done':
      return { type: 'done', stream };
    default:
      return { type: 'cancel', stream, error };
  }
}

function request(random: Random): { method: string; body: unknown } {
  const { method, sample, texts } = random.pick(MESSAGES);
  const name = random.chance(0.9)
    ? method
    : random.pick(['nonsense', '__proto__', 'constructor', '', badName(random).slice(0, 64)]);
  const path = random.pick(texts);
  switch (random.below(5)) {
    case 0:
      return { method: name, body: random.pick(ODD) };
    case 1:
      return {
        method: name,
        body: { ...(sample as object), [random.pick(Object.keys(sample as object))]: random.pick(ODD) },
      };
    case 2:
      return {
        method: name,
        body: { ...(sample as object), [random.pick(['extra', 'then', 'command'])]: random.pick(ODD) },
      };
    default:
      return { method: name, body: path === undefined ? sample : withText(sample, path, badName(random)) };
  }
}

/** Chances of a frame that has not even the form of one, and so ends its connection. */
export const SOME = 0.3;
export const FEW = 0.002;

/** Bytes as they go over the wire. */
export function hostileFrame(random: Random, formless: number): string | Buffer {
  const frame = plausible(random);
  const text = JSON.stringify(frame);
  if (!random.chance(formless)) {
    if (random.chance(0.9)) return text;
    const payload = bytes(random, 1 + random.below(3000));
    return encodeChunk({ stream: random.below(9), offset: random.below(4) * 50, payload });
  }
  switch (
    random.weighted({
      bytes: 2,
      field: 4,
      extra: 4,
      cut: 2,
      flipped: 3,
      deep: 1,
      twice: 3,
      blank: 2,
      large: 1,
    })
  ) {
    case 'bytes':
      return bytes(random, random.below(400));
    case 'field':
      return JSON.stringify({ ...frame, [random.pick(Object.keys(frame))]: random.pick(ODD) });
    case 'extra':
      return JSON.stringify({ ...frame, [random.pick(['extra', 'then', 'id', 'stream'])]: random.pick(ODD) });
    case 'cut':
      return text.slice(0, random.below(text.length));
    case 'flipped': {
      const flipped = Buffer.from(text);
      flipped[random.below(flipped.length)] = random.below(256);
      return flipped.toString('latin1');
    }
    case 'deep':
      return random.chance(0.5)
        ? '['.repeat(random.below(50_000))
        : text.replace('{', `{"a":${'['.repeat(9000)}${']'.repeat(9000)},`);
    case 'twice':
      return text.replace(
        '{',
        random.pick(['{"type":"hello",', '{"id":-1,', '{"__proto__":{"id":1},', '{"type":"reply","id":1,']),
      );
    case 'blank':
      return `${' '.repeat(random.below(5000))}${text}\n`;
    case 'large':
      return JSON.stringify({ type: 'reply', id: 1, body: 'x'.repeat(random.below(1_200_000)) });
    default:
      return text;
  }
}

export function bytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}
