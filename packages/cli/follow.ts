/** A topic's events from its first one, over as many connections as it takes: none twice, none lost. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Envelope, envelope, type FleetEvent } from '@fleet/protocol/api/events.ts';
import { CODES, FleetError } from '@fleet/protocol/errors.ts';
import { type Client, parseJson } from './client.ts';
import { readMessages } from './sse.ts';

export interface FollowOptions {
  /** Stops looking; its reason is thrown. */
  signal: AbortSignal;
  /** Called once each time that the controller does not answer. */
  onSilence(): void;
  /** Milliseconds without an answer before this gives up with `controller_unreachable`. */
  patienceMs?: number;
  /** Milliseconds without a byte after which a connection is replaced: it may be dead without knowing it. */
  idleMs?: number;
}

/**
 * Does not end by itself: the caller leaves when the event has come that it waits for. A stream that was dropped, or closed
 * without that event, is opened again after the last number that was seen.
 */
export async function* follow(
  client: Client,
  topic: string,
  options: FollowOptions,
): AsyncGenerator<FleetEvent> {
  const { signal, onSilence, patienceMs = 60_000, idleMs = 30_000 } = options;
  let last = 0;
  let silentSince: number | undefined;
  while (true) {
    const idle = new AbortController();
    const timer = setTimeout(() => idle.abort(), idleMs);
    try {
      const body = await client.openEvents(topic, last, AbortSignal.any([signal, idle.signal]));
      silentSince = undefined;
      for await (const { id, event } of readEnvelopes(body, () => timer.refresh())) {
        if (id !== null && id <= last) continue;
        last = id ?? last;
        yield event;
      }
    } catch (thrown) {
      signal.throwIfAborted();
      // What the stream itself throws is a dropped connection; what the client throws is an answer, or that there is none.
      if (thrown instanceof FleetError) {
        if (CODES[thrown.code].http < 500 || thrown.code === 'wrong_authority') throw thrown;
        if (silentSince === undefined) onSilence();
        silentSince ??= performance.now();
        if (performance.now() - silentSince > patienceMs) throw thrown;
      }
    } finally {
      clearTimeout(timer);
      idle.abort();
    }
    await pause(Math.min(500, patienceMs / 4), undefined, { signal });
  }
}

async function* readEnvelopes(
  body: AsyncIterable<Uint8Array>,
  onBytes: () => void,
): AsyncGenerator<Envelope> {
  for await (const { data } of readMessages(body, onBytes)) {
    const decoded = envelope.safeParse(parseJson(data));
    if (!decoded.success)
      throw new FleetError(
        'bad_message',
        'the controller sent an event that this fleet does not understand',
        {
          next: 'use the fleet program of the same version as the controller',
          cause: decoded.error,
        },
      );
    yield decoded.data;
  }
}
