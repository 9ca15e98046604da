import { randomBytes } from 'node:crypto';
import t from 'tap';
import {
  CHUNK,
  decodeChunk,
  decodeFrame,
  encodeChunk,
  encodeFrame,
  type Frame,
  frame as frameSchema,
  MAX_FRAME,
} from './codec.ts';
import { FleetError } from './errors.ts';

const error = { code: 'disk_full', message: 'no room', next: 'Prune.', data: { free: 1 } } as const;
const frames: Frame[] = [
  { type: 'request', id: 1, method: 'hello', body: { host: 'a' } },
  { type: 'reply', id: 1, body: { protocol: 1 } },
  { type: 'error', id: 1, error },
  { type: 'open', stream: 1, name: 'release/a/1.0.0/artifact', from: 0, size: 10 },
  { type: 'ack', stream: 1, offset: 10 },
  { type: 'done', stream: 1 },
  { type: 'cancel', stream: 1, error },
];
const bad = { code: 'bad_message' };

t.test('every frame is the same after encoding and decoding', async (t) => {
  for (const frame of frames) t.same(decodeFrame(encodeFrame(frame)), frame, frame.type);
  const types = frameSchema.options.map((option) => option.shape.type.value);
  t.same([...types].sort(), frames.map(({ type }) => type).sort(), 'none is forgotten here');
});

t.test('what is not a frame is refused as bad_message', async (t) => {
  for (const text of [
    '',
    'null',
    '[]',
    '"x"',
    '{',
    '{}',
    '{"type":"order"}',
    'NaN',
    '{"type":"done","stream":1}x',
  ])
    t.throws(() => decodeFrame(text), bad, text);
  for (const frame of frames) {
    t.throws(() => decodeFrame(JSON.stringify({ ...frame, extra: 1 })), bad, `${frame.type}: an extra key`);
    for (const key of Object.keys(frame).filter((key) => key !== 'body')) {
      for (const value of [null, -1, 1.5, 2 ** 60, true, [], 'x'.repeat(300)])
        t.throws(() => decodeFrame(JSON.stringify({ ...frame, [key]: value })), bad, `${frame.type}.${key}`);
      t.throws(
        () => decodeFrame(JSON.stringify({ ...frame, [key]: undefined })),
        bad,
        `no ${frame.type}.${key}`,
      );
    }
  }
});

t.test('a code from a newer program is one that we know', async (t) => {
  const text = JSON.stringify({ type: 'error', id: 1, error: { ...error, code: 'invented_later' } });
  t.match(decodeFrame(text), { error: { code: 'internal', message: 'no room' } });
});

t.test('a code that every object has is none', async (t) => {
  for (const code of ['toString', '__proto__', 'constructor']) {
    const text = JSON.stringify({ type: 'error', id: 1, error: { ...error, code } });
    t.match(decodeFrame(text), { error: { code: 'internal' } }, code);
  }
});

t.test('a body cannot reach a prototype', async (t) => {
  const decoded = decodeFrame('{"type":"reply","id":1,"body":{"__proto__":{"polluted":true}}}');
  t.equal(({} as { polluted?: boolean }).polluted, undefined);
  t.equal(decoded.type, 'reply');
  t.throws(() => decodeFrame('{"type":"done","stream":1,"__proto__":{"x":1}}'), bad);
});

t.test('depth is no way to end the process', async (t) => {
  t.throws(() => decodeFrame('['.repeat(MAX_FRAME)), bad);
  const deep = `{"type":"reply","id":1,"body":${'['.repeat(5000)}${']'.repeat(5000)}}`;
  t.equal(decodeFrame(deep).type, 'reply');
});

t.test('chunks are the same after encoding and decoding', async (t) => {
  const cases = [
    { stream: 1, offset: 0, payload: randomBytes(1) },
    { stream: 2, offset: 2 ** 32 + 5, payload: randomBytes(1000) },
    { stream: 2 ** 32 - 1, offset: Number.MAX_SAFE_INTEGER, payload: randomBytes(CHUNK) },
  ];
  for (const chunk of cases) {
    const bytes = encodeChunk(chunk);
    t.same(decodeChunk(bytes), chunk);
    t.ok(bytes.length <= MAX_FRAME);
  }
  const bytes = encodeChunk({ stream: 258, offset: 3, payload: Buffer.from('abc') });
  t.equal(bytes.toString('hex'), '00000102' + '0000000000000003' + '616263', 'as the comment says');
});

t.test('binary frames that are no chunk are refused as bad_message', async (t) => {
  for (const length of [0, 1, 11, 12, 12 + CHUNK + 1])
    t.throws(() => decodeChunk(Buffer.alloc(length)), bad, `${length} bytes`);
  const far = Buffer.alloc(20, 0xff);
  t.throws(() => decodeChunk(far), { ...bad, message: /offset is out of range/ });
});

t.test('a frame with any byte changed, or cut anywhere, decodes or is refused', async (t) => {
  const outcomes = { decoded: 0, refused: 0 };
  const attempt = (bytes: Buffer) => {
    try {
      decodeFrame(bytes.toString());
      outcomes.decoded += 1;
    } catch (error) {
      if (!(error instanceof FleetError && error.code === 'bad_message')) throw error;
      outcomes.refused += 1;
    }
  };
  for (const frame of frames) {
    const bytes = Buffer.from(encodeFrame(frame));
    for (let at = 0; at < bytes.length; at++) {
      for (const byte of [0, 0x22, 0x30, 0x5c, 0x7d, 0xff])
        attempt(Buffer.concat([bytes.subarray(0, at), Buffer.from([byte]), bytes.subarray(at + 1)]));
      attempt(bytes.subarray(0, at));
    }
  }
  t.ok(outcomes.decoded > 100 && outcomes.refused > 1000, JSON.stringify(outcomes));
});
