/** The event stream: server-sent events, first what was kept after the number that the caller has seen, then what comes. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Envelope } from '@fleet/protocol/api/events.ts';
import type { Events } from '../store/events.ts';

/** A viewer that is this far behind is cut off; it comes back with the number that it has seen and misses nothing. */
const BEHIND = 1024 * 1024;
const PAGE = 500;
/** Also what keeps the stream alive through whatever is between. */
const COMMENT_MS = 15_000;

export async function streamEvents(
  events: Events,
  response: ServerResponse,
  from: {
    after: number;
    topic: string | undefined;
    /** Whether a topic may be told to whoever follows; without it, all may. */
    mayRead?: ((topic: string) => Promise<boolean>) | undefined;
  },
): Promise<void> {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.flushHeaders();
  response.on('error', () => response.destroy());
  let seen = from.after;
  /** It has read the past and is told what comes. */
  let live = false;
  let missed = false;

  const write = (envelope: Envelope): boolean => {
    if (envelope.id !== null) {
      if (envelope.id <= seen) return true;
      seen = envelope.id;
    }
    const id = envelope.id === null ? '' : `id: ${envelope.id}\n`;
    return response.write(`${id}data: ${JSON.stringify(envelope)}\n\n`);
  };
  const tell = (envelope: Envelope) => {
    write(envelope);
    if (response.writableLength > BEHIND) response.destroy();
  };
  const mayRead = remembering(from.mayRead);
  /** Where it has to be asked who may read, one event waits for the one before it. */
  let order = Promise.resolve();
  const unfollow = events.follow((envelope) => {
    if (from.topic !== undefined && envelope.topic !== from.topic) return;
    if (!live) {
      missed = true;
      return;
    }
    if (from.mayRead === undefined) return tell(envelope);
    order = order
      .then(async () => {
        if (await mayRead(envelope.topic)) tell(envelope);
      })
      .catch(() => void response.destroy());
  });
  const alive = setInterval(() => response.write(': alive\n\n'), COMMENT_MS);
  const closed = new AbortController();
  response.on('close', () => {
    clearInterval(alive);
    unfollow();
    closed.abort();
  });

  // The past goes out as fast as it is read, and is past when nothing came while it was looked for.
  while (!live && !response.destroyed) {
    missed = false;
    const page = await events.after(seen, from.topic, PAGE);
    for (const envelope of page) {
      if (!(await mayRead(envelope.topic))) seen = envelope.id ?? seen;
      else if (!write(envelope)) await once(response, 'drain', { signal: closed.signal }).catch(() => {});
    }
    live = page.length < PAGE && !missed;
  }
}

/** A topic is of one service and environment for ever. */
function remembering(
  mayRead: (topic: string) => Promise<boolean> = async () => true,
): (topic: string) => Promise<boolean> {
  const known = new Map<string, Promise<boolean>>();
  return (topic) => {
    const answer = known.get(topic) ?? mayRead(topic);
    if (known.size >= 1000) known.clear();
    known.set(topic, answer);
    return answer;
  };
}
