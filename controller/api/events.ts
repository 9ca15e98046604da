/** The event stream: server-sent events, first what was kept after the number that the caller has seen, then what comes. */
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
  from: { after: number; topic: string | undefined },
): Promise<void> {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.flushHeaders();
  response.on('error', () => response.destroy());
  let seen = from.after;
  let waiting: Envelope[] | null = [];

  const write = (envelope: Envelope) => {
    if (envelope.id !== null) {
      if (envelope.id <= seen) return;
      seen = envelope.id;
    }
    const id = envelope.id === null ? '' : `id: ${envelope.id}\n`;
    response.write(`${id}data: ${JSON.stringify(envelope)}\n\n`);
    if (response.writableLength > BEHIND) response.destroy();
  };
  // Following begins before the past is read, so that nothing falls between the two.
  const unfollow = events.follow((envelope) => {
    if (from.topic !== undefined && envelope.topic !== from.topic) return;
    if (waiting === null) write(envelope);
    else if (envelope.id !== null) waiting.push(envelope);
  });
  const alive = setInterval(() => response.write(': alive\n\n'), COMMENT_MS);
  response.on('close', () => {
    clearInterval(alive);
    unfollow();
  });

  for (;;) {
    const page = await events.after(seen, from.topic, PAGE);
    for (const envelope of page) write(envelope);
    if (page.length < PAGE || response.destroyed) break;
  }
  for (const envelope of waiting) write(envelope);
  waiting = null;
}
