/** The sending half of a session's streams. At most CREDIT chunks of each are on their way, whatever the file's size. */
import { type FileHandle, open } from 'node:fs/promises';
import { CHUNK, type Chunk, CREDIT, type Frame } from '@fleet/protocol/codec.ts';
import { asFleetError, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import { firedBy, setDeadline } from './deadline.ts';
import { wireError } from './wireError.ts';

export interface Sending {
  /** What the receiver knows it by. */
  name: string;
  /** The file that is read. */
  path: string;
  /** The first byte to send, and the file's size: `size - from` bytes are sent. */
  from: number;
  size: number;
  signal?: AbortSignal | undefined;
  /** Called with the offset up to which the receiver has everything, after each acknowledgement. */
  onProgress?: ((doneBytes: number) => void) | undefined;
}

/** One stream on its way. */
interface Stream extends Sending {
  /** Where each chunk ends that has no acknowledgement yet. */
  unacknowledged: number[];
  sent: number;
  /** How it ended; undefined while it goes on. */
  outcome: 'done' | FleetError | undefined;
  /** Lets `until` look again. */
  wake(): void;
  deadline: NodeJS.Timeout;
}

export function createSender(parts: {
  post(frame: Frame): void;
  postChunk(chunk: Chunk): void;
  /** Streams are numbered from here in steps of two; the peer has the numbers between. */
  firstId: number;
  /** A stream without an acknowledgement for this long has failed. */
  progressMs: number;
  lost: AbortSignal;
}) {
  const { post, postChunk, firstId, progressMs, lost } = parts;
  const streams = new Map<number, Stream>();
  let nextId = firstId;

  function begin(id: number, sending: Sending): Stream {
    const stream: Stream = {
      ...sending,
      unacknowledged: [],
      sent: sending.from,
      outcome: undefined,
      wake() {},
      deadline: setDeadline(progressMs, () =>
        settle(stream, failed(sending.name, `the receiver has taken nothing for ${progressMs / 1000} s`)),
      ),
    };
    streams.set(id, stream);
    return stream;
  }

  /** Sends one file from an offset. Resolves when the receiver has all of it; throws what ended the stream before. */
  async function send(sending: Sending): Promise<void> {
    const { name, path, from, size, signal } = sending;
    if (lost.aborted) throw interrupted(name, lost.reason);
    if (signal?.aborted) throw firedBy(signal, name);
    const id = nextId;
    nextId += 2;
    const file = await openToSend(name, path, size);
    const stream = begin(id, sending);
    const giveUp = () => settle(stream, firedBy(signal!, name));
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      if (lost.aborted) throw interrupted(name, lost.reason);
      post({ type: 'open', stream: id, name, from, size });
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size - from));
      while (stream.sent < size) {
        await until(stream, () => stream.unacknowledged.length < CREDIT);
        const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK, size - stream.sent), stream.sent);
        if (bytesRead === 0) throw failed(name, `${path} became shorter while it was sent`);
        if (stream.outcome !== undefined) continue;
        postChunk({ stream: id, offset: stream.sent, payload: buffer.subarray(0, bytesRead) });
        stream.sent += bytesRead;
        stream.unacknowledged.push(stream.sent);
      }
      await until(stream, () => stream.outcome === 'done');
    } catch (error) {
      // Still in the map: the peer does not know yet that it is over.
      if (streams.has(id)) post({ type: 'cancel', stream: id, error: wireError(error) });
      throw error;
    } finally {
      streams.delete(id);
      clearTimeout(stream.deadline);
      signal?.removeEventListener('abort', giveUp);
      await file.close();
    }
  }

  return {
    send,
    /** False where it moves no stream on: for one that is over, or of what was acknowledged before. */
    onAck({ stream: id, offset }: { stream: number; offset: number }): boolean {
      const stream = streams.get(id);
      if (stream === undefined) return false;
      try {
        if (offset > stream.sent) throw failed(stream.name, 'bytes were acknowledged that were not sent');
        const waiting = stream.unacknowledged.length;
        while (stream.unacknowledged[0]! <= offset) stream.unacknowledged.shift();
        if (stream.unacknowledged.length === waiting) return false;
        stream.deadline.refresh();
        stream.wake();
        stream.onProgress?.(offset);
      } catch (error) {
        settle(stream, asFleetError(error));
      }
      return true;
    },
    onDone({ stream: id }: { stream: number }): boolean {
      const stream = streams.get(id);
      if (stream === undefined || stream.outcome !== undefined) return false;
      const early = stream.sent < stream.size;
      settle(stream, early ? failed(stream.name, 'the receiver was done before all was sent') : 'done');
      return true;
    },
    onCancel({ stream: id, error }: { stream: number; error: ErrorBody }): boolean {
      const stream = streams.get(id);
      if (stream === undefined) return false;
      streams.delete(id);
      settle(stream, fromBody(error));
      return true;
    },
    end(reason: FleetError): void {
      for (const stream of streams.values()) settle(stream, interrupted(stream.name, reason));
      streams.clear();
    },
  };
}

/** The first outcome is kept. */
function settle(stream: Stream, outcome: 'done' | FleetError): void {
  stream.outcome ??= outcome;
  stream.wake();
}

/** Waits until `ready`, or throws what ended the stream. */
async function until(stream: Stream, ready: () => boolean): Promise<void> {
  for (;;) {
    if (stream.outcome instanceof FleetError) throw stream.outcome;
    if (ready()) return;
    await new Promise<void>((wake) => {
      stream.wake = wake;
    });
  }
}

async function openToSend(name: string, path: string, size: number): Promise<FileHandle> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    const stat = await file.stat();
    if (stat.size >= size) return file;
    throw new Error(`it has ${stat.size} bytes, ${size} were announced`);
  } catch (cause) {
    await file?.close();
    throw failed(name, `${path} cannot be sent: ${(cause as Error).message}`, cause);
  }
}

function failed(name: string, why: string, cause?: unknown): FleetError {
  return new FleetError('transfer_failed', `${name}: ${why}`, { cause });
}

function interrupted(name: string, reason: FleetError): FleetError {
  return new FleetError('link_lost', `${name} was interrupted: ${reason.message}`, { cause: reason });
}
