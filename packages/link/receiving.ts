/** The receiving half of a session's streams. */
import { type Chunk, CREDIT, type Frame } from '@fleet/protocol/codec.ts';
import { asFleetError, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import { wireError } from './wireError.ts';

/** Streams that a peer may have open. With CREDIT chunks each this bounds what it can make us hold. */
const STREAMS = 16;

/** Where a stream goes. Its functions are called one at a time; after `end` or `abort` none is. */
export interface Sink {
  /** When it resolves the chunk is acknowledged: do so once it is written. */
  write(chunk: Buffer): Promise<void>;
  /** All bytes are in. When it resolves the sender is told so; it waits no longer than its progress deadline. */
  end(): Promise<void>;
  /** No more will come: the link was lost, the sender gave up, or `write` or `end` threw. Keep what can be resumed. */
  abort(error: FleetError): Promise<void>;
}
/** Decides where a stream goes that the peer opened; what it throws refuses the stream. */
export type Receive = (name: string, from: number, size: number) => Promise<Sink>;

interface Opened {
  stream: number;
  name: string;
  from: number;
  size: number;
}
interface Stream extends Opened {
  /** Offset of the next chunk. */
  arrived: number;
  /** Chunks without an acknowledgement; the first is the one that is being written. */
  queue: Buffer[];
  failure: FleetError | undefined;
  wake(): void;
}

export function createReceiver(parts: { post(frame: Frame): void; receive: Receive | undefined }) {
  const { post, receive } = parts;
  const streams = new Map<number, Stream>();

  async function take(stream: Stream): Promise<void> {
    let sink: Sink | undefined;
    try {
      if (receive === undefined) throw new FleetError('unknown_method', 'this end takes no streams');
      sink = await receive(stream.name, stream.from, stream.size);
      for (let done = stream.from; done < stream.size; ) {
        const chunk = await firstOf(stream);
        await sink.write(chunk);
        stream.queue.shift();
        done += chunk.length;
        if (stream.failure === undefined) post({ type: 'ack', stream: stream.stream, offset: done });
      }
      if (stream.failure !== undefined) throw stream.failure;
      await sink.end();
      if (streams.delete(stream.stream)) post({ type: 'done', stream: stream.stream });
    } catch (thrown) {
      const error = asFleetError(thrown);
      giveUp(stream, error);
      // The sink has said what it had to say; the offset that it offers next time is what counts.
      await sink?.abort(error).catch(() => {});
    }
  }

  /** Ends a stream and tells the sender, unless it is over already. */
  function giveUp(stream: Stream, error: FleetError): void {
    if (!streams.delete(stream.stream)) return;
    fail(stream, error);
    post({ type: 'cancel', stream: stream.stream, error: wireError(error) });
  }

  return {
    /** Throws `bad_message` on a number that is taken: sender and receiver would not mean the same stream any more. */
    onOpen(opened: Opened): void {
      if (streams.has(opened.stream))
        throw new FleetError('bad_message', `stream ${opened.stream} is open already`);
      const stream: Stream = { ...opened, arrived: opened.from, queue: [], failure: undefined, wake() {} };
      streams.set(opened.stream, stream);
      if (opened.from > opened.size) giveUp(stream, refused(stream, 'it begins behind its end'));
      else if (streams.size > STREAMS)
        giveUp(stream, refused(stream, `more than ${STREAMS} streams at once`));
      else void take(stream);
    },
    /** False where it is no part of a stream, or not the part that is due. */
    onChunk({ stream: id, offset, payload }: Chunk): boolean {
      const stream = streams.get(id);
      // A stream that was given up here has chunks on their way still.
      if (stream === undefined) return false;
      const wrong = faultOf(stream, offset, payload.length);
      if (wrong !== undefined) {
        giveUp(stream, refused(stream, wrong));
        return false;
      }
      stream.arrived += payload.length;
      stream.queue.push(payload);
      stream.wake();
      return true;
    },
    onCancel({ stream: id, error }: { stream: number; error: ErrorBody }): boolean {
      const stream = streams.get(id);
      if (stream === undefined) return false;
      streams.delete(id);
      fail(stream, fromBody(error));
      return true;
    },
    end(reason: FleetError): void {
      for (const stream of streams.values()) fail(stream, reason);
      streams.clear();
    },
  };
}

/** What is wrong with a chunk, if anything is. */
function faultOf(stream: Stream, offset: number, length: number): string | undefined {
  if (offset !== stream.arrived) return `a chunk at ${offset} where ${stream.arrived} was due`;
  if (offset + length > stream.size) return `more than the ${stream.size} bytes that were announced`;
  if (stream.queue.length >= CREDIT) return `more than ${CREDIT} chunks without an acknowledgement`;
  return undefined;
}

/** The first failure is kept. What waits for a chunk throws it. */
function fail(stream: Stream, error: FleetError): void {
  stream.failure ??= error;
  stream.wake();
}

async function firstOf(stream: Stream): Promise<Buffer> {
  for (;;) {
    if (stream.failure !== undefined) throw stream.failure;
    const first = stream.queue[0];
    if (first !== undefined) return first;
    await new Promise<void>((wake) => {
      stream.wake = wake;
    });
  }
}

function refused(stream: Stream, why: string): FleetError {
  return new FleetError('transfer_failed', `${stream.name}: ${why}`);
}
