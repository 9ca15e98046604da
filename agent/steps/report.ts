/** The agent's own account of a service, from the disk and the process table and from nothing that it remembers. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply } from '@fleet/protocol/messages/methods.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import { isOwn, type OwnService } from '@fleet/protocol/words.ts';
import type { Host } from '../host.ts';
import { orderedReleases } from '../releases/activate.ts';
import { type Home, readCurrent } from '../releases/layout.ts';
import { findRelease } from '../releases/release.ts';
import { findStarted } from '../releases/signature.ts';
import { instanceOf, openRuntime } from './runtime.ts';
import { startedWith } from './values.ts';

export async function reportService(host: Host, home: Home): Promise<Reply<AgentMethods, 'step.report'>> {
  const current = await readCurrent(home).catch(noneWhereNoLink);
  const { state, version } = await stateOf(host, home);
  const running = state === 'running' || state === 'recovering' ? version : null;
  const named = running ?? current;
  const release = named === null ? undefined : await findRelease(home, named);
  const { activated, others } = await orderedReleases(home);
  return {
    current,
    running,
    identity: release?.identity ?? null,
    state,
    releases: [...activated, ...others],
  };
}

/** What is no link names no release. Where it cannot be read at all, nobody knows, and that is not the same. */
function noneWhereNoLink(error: unknown): null {
  if (error instanceof FleetError && error.code === 'switch_failed') return null;
  throw error;
}

/** What the supervisor says of the version that was last started. */
export async function stateOf(
  host: Host,
  home: Home,
): Promise<{ state: ServiceState; version: string | null }> {
  if (isOwn(home.service)) return ownState(host, home.service);
  const started = await startedWith(host, home);
  if (!started) return { state: 'stopped', version: null };
  const { version } = started;
  const release = await findStarted(home, started);
  if (!release) return { state: 'unknown', version };
  const instance = instanceOf(await openRuntime({ host, home, release, ...started }));
  return { state: await host.supervisorFor(instance.run).status(instance), version };
}

/** What is asked is what runs. */
function ownState({ own }: Host, service: OwnService): { state: ServiceState; version: string | null } {
  const version = own.versions[service];
  return { state: version === null ? 'stopped' : 'running', version };
}
