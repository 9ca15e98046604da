/**
 * Bytes to frames, in one place. Text frames are JSON; binary frames are a piece of a stream: 4 bytes stream number, 8 bytes
 * offset, both big-endian, then at most CHUNK bytes of payload.
 */
import { z } from 'zod';
import { CODES, type Code, FleetError } from './errors.ts';

/** Payload of one binary frame, at most. Small enough that a heartbeat behind it is not late on a slow line. */
export const CHUNK = 256 * 1024;
/** Chunks on their way without an acknowledgement. */
export const CREDIT = 4;
/** Larger frames of either kind end the connection. */
export const MAX_FRAME = 1024 * 1024;

/** Characters of a frame that tells an error, or why a stream was given up: twice what either end sends. */
const LONGEST_ERROR = 128 * 1024;

const id = z.int().min(1);
const errorBody = z.strictObject({
  code: z.string().transform((code): Code => (Object.hasOwn(CODES, code) ? (code as Code) : 'internal')),
  message: z.string(),
  next: z.string().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
});

export const frame = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('request'), id, method: z.string().max(64), body: z.unknown() }),
  z.strictObject({ type: z.literal('reply'), id, body: z.unknown() }),
  z.strictObject({ type: z.literal('error'), id, error: errorBody }),
  /** A stream begins: `size` bytes in all, of which those from `from` on are sent. */
  z.strictObject({
    type: z.literal('open'),
    stream: id,
    name: z.string().max(256),
    from: z.int().min(0),
    size: z.int().min(0),
  }),
  /** Everything up to `offset` is on the receiver's disk or in its hands; the sender may send more. */
  z.strictObject({ type: z.literal('ack'), stream: id, offset: z.int().min(0) }),
  /** Receiver: all `size` bytes are in. */
  z.strictObject({ type: z.literal('done'), stream: id }),
  /** Either side gives the stream up. */
  z.strictObject({ type: z.literal('cancel'), stream: id, error: errorBody }),
]);
export type Frame = z.infer<typeof frame>;

export function encodeFrame(value: Frame): string {
  return JSON.stringify(value);
}

export function decodeFrame(text: string): Frame {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FleetError('bad_message', 'a frame is not JSON', { cause });
  }
  const result = frame.safeParse(json);
  if (!result.success)
    throw new FleetError('bad_message', `a frame does not decode: ${z.prettifyError(result.error)}`);
  const { type } = result.data;
  if ((type === 'error' || type === 'cancel') && text.length > LONGEST_ERROR)
    throw new FleetError('bad_message', `an error of ${text.length} characters`);
  return result.data;
}

export interface Chunk {
  stream: number;
  offset: number;
  payload: Buffer;
}
const HEADER = 12;

/** Header only: the payload follows it in the same frame. */
export function encodeChunk(chunk: Chunk): Buffer {
  const frame = Buffer.allocUnsafe(HEADER + chunk.payload.length);
  frame.writeUInt32BE(chunk.stream, 0);
  frame.writeBigUInt64BE(BigInt(chunk.offset), 4);
  chunk.payload.copy(frame, HEADER);
  return frame;
}

export function decodeChunk(frame: Buffer): Chunk {
  if (frame.length <= HEADER || frame.length > HEADER + CHUNK)
    throw new FleetError('bad_message', `a binary frame of ${frame.length} bytes`);
  const offset = Number(frame.readBigUInt64BE(4));
  if (!Number.isSafeInteger(offset)) throw new FleetError('bad_message', 'a chunk’s offset is out of range');
  return { stream: frame.readUInt32BE(0), offset, payload: frame.subarray(HEADER) };
}
