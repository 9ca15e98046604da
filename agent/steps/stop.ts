/** Stopping what runs, by the release that it runs from: its own hooks, its own supervisor, the values it was started with. */
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { HookName } from '@fleet/protocol/service.ts';
import type { Host } from '../host.ts';
import type { Entry } from '../releases/journal.ts';
import type { Home } from '../releases/layout.ts';
import { findStarted } from '../releases/signature.ts';
import { writeStarted } from '../releases/started.ts';
import { runHook } from './hooks.ts';
import { noted, type Ran, timed } from './ran.ts';
import { instanceOf, openRuntime } from './runtime.ts';
import { startedWith } from './values.ts';

export interface Stopped {
  /** Whether anything ran. */
  changed: boolean;
  ran: Ran[];
}

interface Manner {
  /** What fails on the way is noted in the output, and the rest is done all the same. */
  lenient: boolean;
  /** Something is started in its place: what nobody knows how to stop is left to that. */
  replaced: boolean;
}

/**
 * Hooks are for what runs: a service that has crashed is only told to its supervisor, so that its successor can be started.
 * Throws `no_release`, `hook_failed`, `hook_interrupted` and `stop_failed`.
 */
export async function stopRunning(
  host: Host,
  home: Home,
  entry: Entry,
  { lenient, replaced }: Manner,
): Promise<Stopped> {
  const started = await startedWith(host, home);
  if (!started?.wanted) return { changed: false, ran: [] };
  const { version } = started;
  const release = await findStarted(home, started);
  if (!release && !replaced)
    throw new FleetError(
      'no_release',
      `${home.service} ${version} is no longer on this host as it was started`,
      {
        next: `Look what became of it, stop it by hand, or deploy ${home.service}.`,
      },
    );
  if (!release)
    return {
      changed: true,
      ran: [noted(`${version} is no longer on the disk as it was started: its hooks were not run\n`)],
    };
  const runtime = await openRuntime({ host, home, release, ...started });
  const { hooks, run } = release.service;
  const supervisor = host.supervisorFor(run);
  const instance = instanceOf(runtime);
  const ran: Ran[] = [];

  async function attempt(what: string, act: () => Promise<Ran>): Promise<void> {
    try {
      ran.push(await act());
    } catch (thrown) {
      const error = asFleetError(thrown);
      if (!lenient || error.code === 'stopping') throw error;
      host.log.warn({ service: home.service, version, code: error.code }, error.message);
      ran.push(noted(`${what} failed, going on: ${error.message}\n`));
    }
  }
  const hook = async (name: HookName) => {
    const found = hooks[name];
    if (found && changed) await attempt(name, () => runHook(runtime, name, found, entry));
  };

  // Asked before anything is done and kept, because after an interruption it would be another answer.
  const state = await entry.part<ServiceState>('state', { repeatable: true }, () =>
    supervisor.status(instance),
  );
  const changed = state === 'running' || state === 'unknown';
  await hook('before_stop');
  await attempt('stop', () => timed(host, () => supervisor.stop(instance)));
  await hook('after_stop');
  await writeStarted(home, { ...started, wanted: false });
  return { changed, ran };
}

/** A service that has nowhere to go back to. Its hooks do not keep it running. */
export async function stopService(host: Host, home: Home, entry: Entry): Promise<{ changed: boolean }> {
  const { changed } = await stopRunning(host, home, entry, { lenient: true, replaced: false });
  return { changed };
}
