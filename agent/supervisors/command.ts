/** A service that something else watches over (an init system, a container engine): three commands start, stop and ask. */
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootId } from '@fleet/process/proc.ts';
import { describe, type Ended, ok, run } from '@fleet/process/run.ts';
import { type Code, FleetError } from '@fleet/protocol/errors.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import { type CommandSpec, commandSpecOf, isWanted, redactionOf, unwant, want, wanted } from './spec.ts';
import type { Supervisor } from './supervisor.ts';

type Verb = 'start' | 'stop' | 'status';

/** Commands may return a little before what they said is true. */
const SETTLE_MS = 5_000;
const PAUSE_MS = 50;

export const commandSupervisor: Supervisor<RunOf<'command'>> = {
  async start(instance) {
    const { home } = instance;
    const spec = commandSpecOf(instance);
    const before = await wanted(home);
    if (isWanted(spec, before) && (await ask(spec)) === 'running') return;
    if (before?.run.supervisor === 'command') await bringDown(home, { ...before, run: before.run });
    // Whatever runs now was not started by us: it is not known to be this version.
    await bringDown(home, spec);
    await bringUp(spec);
    await mkdir(home, { recursive: true, mode: 0o700 });
    await want(home, spec);
  },
  stop: (instance) => bringDown(instance.home, commandSpecOf(instance)),
  status: (instance) => ask(commandSpecOf(instance)),
};

/**
 * Only after a reboot: what was stopped since by hand, or by what watches over it, was stopped for a reason.
 * Throws `start_failed`.
 */
export async function reviveCommand(home: string, spec: CommandSpec): Promise<boolean> {
  if (spec.boot === bootId() || (await ask(spec)) === 'running') return false;
  await bringUp(spec);
  await want(home, { ...spec, boot: bootId() });
  return true;
}

async function bringDown(home: string, spec: CommandSpec): Promise<void> {
  await unwant(home);
  if ((await ask(spec)) === 'stopped') return;
  const ended = await act(spec, 'stop');
  if (!ok(ended)) throw failure('stop_failed', spec, 'stop', ended);
  if (await comesTo(spec, 'stopped')) return;
  throw failure('stop_failed', spec, 'stop', ended, 'but its status does not say that it is stopped');
}

async function bringUp(spec: CommandSpec): Promise<void> {
  const ended = await act(spec, 'start');
  if (!ok(ended)) throw failure('start_failed', spec, 'start', ended);
  if (await comesTo(spec, 'running')) return;
  throw failure('start_failed', spec, 'start', ended, 'but its status does not say that it runs');
}

function act(spec: CommandSpec, verb: Verb): Promise<Ended> {
  const { run: commands, release, environment, user } = spec;
  return run({
    argv: commands[verb],
    cwd: release,
    env: environment,
    user,
    timeoutMs: commands.timeout,
    leavesDaemons: verb === 'start',
    redact: (take) => redactionOf(spec).stream(take),
  });
}

async function ask(spec: CommandSpec): Promise<ServiceState> {
  const { reason, code } = await act(spec, 'status');
  if (reason !== 'exited') return 'unknown';
  return code === 0 ? 'running' : code === 3 ? 'stopped' : 'unknown';
}

async function comesTo(spec: CommandSpec, state: ServiceState): Promise<boolean> {
  const until = performance.now() + SETTLE_MS;
  while ((await ask(spec)) !== state) {
    if (performance.now() >= until) return false;
    await sleep(PAUSE_MS);
  }
  return true;
}

function failure(code: Code, spec: CommandSpec, verb: Verb, ended: Ended, but?: string): FleetError {
  const argv = spec.run[verb];
  const what = but === undefined ? describe(ended, argv) : `${describe(ended, argv)}, ${but}`;
  return new FleetError(code, `${spec.service} ${spec.version}: ${what}`, {
    next: `Run it by hand in ${spec.release} to see why.`,
    data: { command: argv, code: ended.code, signal: ended.signal, output: ended.output },
  });
}
