/** Stopping what runs, by the release that it runs from: its own hooks, its own supervisor, the values it was started with. */
import { asFleetError } from '@fleet/protocol/errors.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { HookName } from '@fleet/protocol/service.ts';
import type { Host } from '../host.ts';
import type { Entry } from '../releases/journal.ts';
import type { Home } from '../releases/layout.ts';
import { findRelease, type Release, requireRelease } from '../releases/release.ts';
import { readStarted, type Started, writeStarted } from '../releases/started.ts';
import { runHook } from './hooks.ts';
import type { Output } from './output.ts';
import { instanceOf, type Runtime } from './runtime.ts';

export interface Stopped {
  /** Whether anything ran. */
  changed: boolean;
  outputs: Output[];
}

interface Manner {
  /** What fails on the way is noted in the output, and the rest is done all the same. */
  lenient: boolean;
  /** Whose supervisor is asked where the release that runs is no longer on the disk. */
  standIn?: Release | undefined;
}

/**
 * Hooks are for what runs: a service that has crashed is only told to its supervisor, so that its successor can be started.
 */
export async function stopRunning(
  host: Host,
  home: Home,
  entry: Entry,
  { lenient, standIn }: Manner,
): Promise<Stopped> {
  const started = await readStarted(home);
  if (!started?.wanted) return { changed: false, outputs: [] };
  const runtime = await runtimeOf(host, home, started, standIn);
  const { hooks } = runtime.release.service;
  const supervisor = host.supervisorFor(runtime.release.service.run);
  const instance = instanceOf(runtime);
  const outputs: Output[] = [];

  async function attempt(what: string, act: () => Promise<Output | undefined>): Promise<void> {
    try {
      const output = await act();
      if (output) outputs.push(output);
    } catch (thrown) {
      const error = asFleetError(thrown);
      if (!lenient || error.code === 'stopping') throw error;
      host.log.warn({ service: home.service, version: started?.version, code: error.code }, error.message);
      outputs.push({ text: `${what} failed, going on: ${error.message}\n`, dropped: 0 });
    }
  }
  const hook = async (name: HookName) => {
    const found = hooks[name];
    if (found && ran) await attempt(name, () => runHook(runtime, name, found, entry));
  };

  // Asked before anything is done and kept, because after an interruption it would be another answer.
  const state = await entry.part<ServiceState>('state', { repeatable: true }, () =>
    supervisor.status(instance),
  );
  const ran = state === 'running' || state === 'unknown';
  await hook('before_stop');
  await attempt('stop', async () => {
    await supervisor.stop(instance);
    return undefined;
  });
  await hook('after_stop');
  await writeStarted(home, { ...started, wanted: false });
  return { changed: ran, outputs };
}

/** Throws `no_release` where neither the release that was started nor one to stand in for it is on the disk. */
export async function runtimeOf(
  host: Host,
  home: Home,
  { version, values }: Started,
  standIn?: Release,
): Promise<Runtime> {
  const release = (await findRelease(home, version)) ?? standIn ?? (await requireRelease(home, version));
  return { host, home, release, values };
}

/** A service that has nowhere to go back to. Its hooks do not keep it running. */
export async function stopService(host: Host, home: Home, entry: Entry): Promise<{ changed: boolean }> {
  const { changed } = await stopRunning(host, home, entry, { lenient: true });
  return { changed };
}
