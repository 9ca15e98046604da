/** Stop what runs, start what `current` names. */
import { passing } from '@fleet/process/points.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import type { HookName } from '@fleet/protocol/service.ts';
import { isOwn } from '@fleet/protocol/words.ts';
import type { Host } from '../host.ts';
import type { Entry } from '../releases/journal.ts';
import { type Home, readCurrent } from '../releases/layout.ts';
import { requireSigned } from '../releases/signature.ts';
import { writeStarted } from '../releases/started.ts';
import { replaceOwn } from '../upgrade/replace.ts';
import { runHook } from './hooks.ts';
import { joined, type Ran, timed } from './ran.ts';
import { instanceOf, openRuntime, type Runtime } from './runtime.ts';
import { stopRunning } from './stop.ts';
import { valuesFor } from './values.ts';

type Restart = Request<AgentMethods, 'step.restart'>;

export async function restartService(
  host: Host,
  home: Home,
  request: Restart,
  entry: Entry,
): Promise<Reply<AgentMethods, 'step.restart'>> {
  const { version, lenientStop } = request;
  const release = await requireSigned(home, version, host.trust);
  if (isOwn(home.service)) return replaceOwn(host, home.service, version, entry);
  const run = valuesFor(release.service, version, request, host.secrets);
  const current = await readCurrent(home);
  if (current !== version)
    throw new FleetError(
      'no_release',
      `current names ${current ?? 'nothing'}, so ${version} cannot be started`,
      {
        next: `Deploy ${home.service} ${version}: it is activated before it is started.`,
      },
    );

  const runtime = await openRuntime({ host, home, release, ...run });
  const stopped = await entry.part('stop', { repeatable: true }, () =>
    stopRunning(host, home, entry, { lenient: lenientStop, replaced: true }),
  );
  const started = await startRelease(runtime, entry);
  return {
    changed: true,
    output: joined([...stopped.ran, ...started]).output,
    stopMs: joined(stopped.ran).ms,
    startMs: joined(started).ms,
  };
}

/** Its hooks and its program. Throws `hook_failed` and `start_failed`. */
async function startRelease(runtime: Runtime, entry: Entry): Promise<Ran[]> {
  const { host, home, release, values, secrets } = runtime;
  const { hooks, run } = release.service;
  const supervisor = host.supervisorFor(run);
  const instance = instanceOf(runtime);
  const { version, manifest } = release;
  const started = { version, values, secrets, manifest };
  const ran: Ran[] = [];
  const hook = async (name: HookName) => {
    const found = hooks[name];
    if (found) ran.push(await runHook(runtime, name, found, entry));
  };

  await hook('before_start');
  // Before the start, so that a crash behind it leaves a service that is known.
  await writeStarted(home, { ...started, wanted: true });
  try {
    const start = () => timed(host, () => supervisor.start(instance));
    ran.push(await passing('agent.restart_hook', start));
  } catch (error) {
    await writeStarted(home, { ...started, wanted: false });
    throw error;
  }
  const state = await supervisor.status(instance);
  if (state !== 'running')
    throw new FleetError('start_failed', `${home.service} ${release.version} is ${state} after its start`, {
      next: `See what it printed: fleet logs ${home.service} --host ${host.name}`,
    });
  await hook('after_start');
  return ran;
}
