/**
 * One session over an open WebSocket: heartbeats, requests and replies both ways, streams with credit. Both ends are alike.
 * A session ends once, for one reason, and everything that waits on it then fails with `link_lost` and that reason.
 */
import {
  type Chunk,
  decodeChunk,
  decodeFrame,
  encodeChunk,
  encodeFrame,
  type Frame,
  MAX_FRAME,
} from '@fleet/protocol/codec.ts';
import { asFleetError, type Code, type ErrorBody, FleetError } from '@fleet/protocol/errors.ts';
import type { Handlers, Methods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { WebSocket } from 'ws';
import { type Allowance, createAllowance } from './allowance.ts';
import { type AskOptions, createCalls } from './calls.ts';
import { watchHeartbeat } from './heartbeat.ts';
import { createReceiver, type Receive } from './receiving.ts';
import { createSender, type Sending } from './sending.ts';

const HEARTBEAT_MS = 5000;
const PROGRESS_MS = 30_000;
/** How long a peer may take to answer a close frame before the socket is destroyed. */
const FAREWELL_MS = 1000;
/** A peer that lets this many bytes wait for it does not read: twice what all its streams may have on their way. */
const MAX_WAITING = 32 * MAX_FRAME;
/** More than a controller says to an agent in its busiest second, or an agent to a controller. */
const UNASKED: Allowance = { burst: 1000, perSecond: 200 };
/** WebSocket close code of our own; the reason beside it is for people. */
const CLOSED = 4000;
/** Bytes that a close frame has room for. */
const REASON_BYTES = 123;

export interface Session<Theirs extends Methods> {
  /** Throws the peer's own error, `timeout`, `link_lost`, `bad_message` (its answer does not decode), or what `signal` says. */
  ask<K extends keyof Theirs & string>(
    method: K,
    body: Request<Theirs, K>,
    options: AskOptions,
  ): Promise<Reply<Theirs, K>>;
  /** Streams a file from an offset. Throws the receiver's own error, `transfer_failed`, `link_lost`, or what `signal` says. */
  send(sending: Sending): Promise<void>;
  /** Resolves, never rejects, with the one reason: a `link_lost` that says which. */
  closed: Promise<FleetError>;
  /** Ends the session; the peer is told why. */
  close(why: string): void;
}

export interface SessionOptions<Theirs extends Methods, Ours extends Methods> {
  /** Open, and nothing read from it yet: open a session before the first `await` after the socket is there. */
  socket: WebSocket;
  /** What the peer answers, and what we answer. */
  theirs: Theirs;
  ours: Ours;
  handlers: Handlers<Ours>;
  /** Without it, streams are refused. */
  receive?: Receive;
  /** Time between two pings; a peer that is silent for three of them, and half a one, is cut off. */
  heartbeatMs?: number;
  /** A stream without an acknowledgement for this long has failed. */
  progressMs?: number;
  /** What the peer may send unasked; a session that is flooded ends, with `too_many` as its cause. */
  unasked?: Allowance;
  /**
   * Codes that the peer's errors may carry; another one becomes `internal`. Without it, all: but how the link is, and what
   * this end can do, is for this end to say.
   */
  errorCodes?: ReadonlySet<Code>;
}

export function openSession<Theirs extends Methods, Ours extends Methods>(
  options: SessionOptions<Theirs, Ours>,
): Session<Theirs> {
  const { socket, theirs, ours, handlers, receive } = options;
  const lost = new AbortController();
  const { promise: closed, resolve: resolveClosed } = Promise.withResolvers<FleetError>();
  // Each end numbers its own streams: the dialling one odd, the accepting one (which has no url) even.
  const firstId = socket.url ? 1 : 2;
  const isOurs = (stream: number) => stream % 2 === firstId % 2;

  function write(data: string | Buffer): void {
    if (lost.signal.aborted) return;
    if (Buffer.byteLength(data) > MAX_FRAME)
      throw new FleetError('internal', `a message of more than ${MAX_FRAME} bytes was not sent`);
    socket.send(data, () => {}); // What keeps it from being sent is told by 'error' and 'close'.
    if (socket.bufferedAmount > MAX_WAITING) cut('the peer does not read what is sent to it');
  }
  const post = (frame: Frame) => write(encodeFrame(frame));
  const postChunk = (chunk: Chunk) => write(encodeChunk(chunk));

  const calls = createCalls({ post, theirs, ours, handlers, lost: lost.signal });
  const progressMs = options.progressMs ?? PROGRESS_MS;
  const sender = createSender({ post, postChunk, firstId, progressMs, lost: lost.signal });
  const receiver = createReceiver({ post, receive });
  const stopHeartbeat = watchHeartbeat({
    socket,
    everyMs: options.heartbeatMs ?? HEARTBEAT_MS,
    onSilent: (silentMs) => cut(`nothing came from the peer for ${silentMs / 1000} s`),
  });

  const heard = (error: ErrorBody): ErrorBody =>
    options.errorCodes?.has(error.code) === false ? { ...error, code: 'internal' } : error;

  /** Whether it follows from something that this end has begun. */
  function dispatch(frame: Frame): boolean {
    switch (frame.type) {
      case 'request':
        void calls.onRequest(frame);
        return false;
      case 'reply':
        return calls.onReply(frame);
      case 'error':
        return calls.onError({ id: frame.id, error: heard(frame.error) });
      case 'open':
        if (isOurs(frame.stream))
          throw new FleetError('bad_message', `stream ${frame.stream} is not the peer’s to open`);
        receiver.onOpen(frame);
        return false;
      case 'ack':
        return sender.onAck(frame);
      case 'done':
        return sender.onDone(frame);
      case 'cancel': {
        const { stream } = frame;
        return (isOurs(stream) ? sender : receiver).onCancel({ stream, error: heard(frame.error) });
      }
    }
  }

  const admit = createAllowance(options.unasked ?? UNASKED);
  function countUnasked(bytes: number): void {
    if (admit(bytes)) return;
    const flood = new FleetError('too_many', 'the peer sends more than it was asked for');
    leave(flood.message, flood);
  }

  /** The first reason wins. Returns false where there was one already. */
  function end(why: string, cause?: unknown): boolean {
    if (lost.signal.aborted) return false;
    const reason = new FleetError('link_lost', why, { cause });
    stopHeartbeat();
    lost.abort(reason);
    calls.end(reason);
    sender.end(reason);
    receiver.end(reason);
    resolveClosed(reason);
    return true;
  }
  /** Ends it with a peer that may still listen: it is told why, and not waited for. */
  function leave(why: string, cause?: unknown): void {
    if (!end(why, cause)) return;
    const timer = setTimeout(() => socket.terminate(), FAREWELL_MS);
    socket.once('close', () => clearTimeout(timer));
    socket.close(CLOSED, fitted(why));
  }
  /** Ends it with a peer that does not listen. */
  function cut(why: string): void {
    end(why);
    socket.terminate();
  }

  socket.on('message', (data: Buffer, isBinary) => {
    if (lost.signal.aborted) return;
    try {
      const asked = isBinary ? receiver.onChunk(decodeChunk(data)) : dispatch(decodeFrame(data.toString()));
      if (!asked) countUnasked(data.length);
    } catch (error) {
      leave(`the peer broke the protocol: ${asFleetError(error).message.slice(0, 300)}`, error);
    }
  });
  // ws answers each ping by itself, also to a peer that reads nothing.
  for (const control of ['ping', 'pong'] as const)
    socket.on(control, () => {
      if (!lost.signal.aborted) countUnasked(0);
    });
  // ws answers what is no WebSocket at all, or too large a frame, with a close frame of its own.
  socket.on('error', (error) => leave(`the connection broke: ${error.message}`, error));
  socket.on('close', (code, reason) =>
    end(reason.length > 0 ? `closed by the peer: ${reason}` : lostWith(code)),
  );

  return { ask: calls.ask, send: sender.send, closed, close: leave };
}

function lostWith(code: number): string {
  return code === 1006 ? 'the connection was lost' : `the connection was closed (code ${code})`;
}

/** As much of a text as a close frame has room for. */
function fitted(text: string): string {
  let fits = text.slice(0, REASON_BYTES);
  while (Buffer.byteLength(fits) > REASON_BYTES) fits = fits.slice(0, -1);
  return fits;
}
