/** A file on its way to an agent, chunk by chunk, as the trouble that is due has it. */
import type { Agents } from '@fleet/controller/deploy/context.ts';
import type { Sink } from '@fleet/link/receiving.ts';
import { asFleetError, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import type { Random } from '../random/random.ts';
import type { SimulatedClock } from './clock.ts';
import { never } from './life.ts';
import type { Link } from './link.ts';
import type { MessageTrouble } from './network.ts';

type Stream = Parameters<Agents['send']>[1];

export interface Way {
  clock: SimulatedClock;
  random: Random;
  content: Buffer;
  /** Resolves when what is sent now has arrived. */
  arrive(): Promise<void>;
  /** What happens to it. */
  trouble(): MessageTrouble | undefined;
  cut(): void;
  onFault(kind: 'transfer cut' | 'chunk damaged'): void;
}

/** Resolves when the agent has said that it has all; never, where the link was lost before that could be heard. */
export async function transfer(link: Link, stream: Stream, way: Way): Promise<void> {
  const { name, from, size } = stream;
  await way.arrive();
  if (!link.open) return never();
  const sink = await link.agent.receive(name, from, size).catch(overTheWire);
  try {
    await pour(link, stream, sink, way);
    await sink.end();
  } catch (thrown) {
    const error = asFleetError(thrown);
    await sink.abort(error);
    return overTheWire(error);
  }
  await way.clock.sleep(way.random.between(0.2, 3));
  if (!link.open) return never();
}

async function pour(link: Link, { from, size, onProgress }: Stream, sink: Sink, way: Way): Promise<void> {
  const { clock, content, random } = way;
  const trouble = way.trouble();
  const badAt = trouble === undefined ? size : from + random.below(size - from + 1);
  const chunk = random.pick([64, 512, 4096, 65_536]);
  for (let at = from; at < size; ) {
    const end = Math.min(size, at + chunk);
    const bytes = Buffer.from(content.subarray(at, end));
    if (at <= badAt && badAt < end && trouble === 'late') {
      way.onFault('chunk damaged');
      bytes[badAt - at]! ^= 1;
    } else if (at <= badAt && badAt < end) {
      way.onFault('transfer cut');
      way.cut();
    }
    await clock.sleep(random.between(0.1, 2));
    if (!link.open) {
      // The agent keeps what came, and knows of the loss as late as the controller does.
      await link.ended;
      throw new FleetError('link_lost', 'the connection was lost');
    }
    await sink.write(bytes);
    at = end;
    onProgress?.(at);
  }
}

function overTheWire(thrown: unknown): never {
  throw fromBody(wire(asFleetError(thrown).toJSON()));
}

/** As it comes out at the other end. */
export function wire<T>(message: T): T {
  return JSON.parse(JSON.stringify(message)) as T;
}
