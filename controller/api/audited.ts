/** Every change is written down before it is done, and again how it ended. */
import { ROUTES, type Route, type RouteName } from '@fleet/protocol/api/routes.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { isStoreFault } from '../store/faults.ts';
import type { Asked, Served } from './handlers.ts';

/** What is told of a request and of its answer: names and numbers. Nothing else, so that nothing secret ever is. */
const TOLD = [
  'service',
  'environment',
  'version',
  'to',
  'ref',
  'host',
  'hosts',
  'roles',
  'id',
  'build',
  'backup',
  'directory',
  'name',
  'role',
  'services',
  'environments',
  'expires',
  'state',
  'why',
] as const;

/** A viewer changes nothing; a route with a proof of its own writes down what it does itself. */
export function isChange({ method, access }: Route): boolean {
  return method !== 'GET' && access !== 'viewer' && access !== 'key';
}

export async function audited<N extends RouteName, R>(
  { store: { audit }, secrets }: Pick<Served, 'store' | 'secrets'>,
  name: N,
  asked: Asked<N>,
  work: () => Promise<R>,
): Promise<R> {
  if (!isChange(ROUTES[name])) return work();
  const row = { who: asked.who.name, from: asked.from, what: name };
  const { seq } = await audit.append({ ...row, outcome: 'asked', details: told(asked, secrets) });
  /** What was done is done, also where there is no room to say so: that it was asked for is on disk. */
  const say = (outcome: 'done' | 'failed', details: object) =>
    audit.append({ ...row, outcome, details: { asked: seq, ...details } }).catch((error: unknown) => {
      if (!isStoreFault(error)) throw error;
    });
  let reply: R;
  try {
    reply = await work();
  } catch (error) {
    await say('failed', { code: asFleetError(error).code });
    throw error;
  }
  await say('done', pick(reply ?? {}));
  return reply;
}

/** What a request is about; somebody may write a secret into a reason. */
export function told(
  { params, body }: { params: unknown; body: unknown },
  { known }: Served['secrets'],
): Record<string, unknown> {
  return known.all(pick({ ...(body ?? {}), ...(params ?? {}) }));
}

function pick(said: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(said).filter(([key, value]) => TOLD.some((name) => name === key) && value !== undefined),
  );
}
