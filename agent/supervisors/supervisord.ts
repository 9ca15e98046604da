/**
 * A service that supervisord looks after: root's, spoken to by supervisorctl. What its program starts is what the agent has written,
 * as for a unit of systemd, or what the team's own configuration says.
 */
import { existsSync } from 'node:fs';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { bootId } from '@fleet/process/proc.ts';
import { describe, type Ended, run as runProgram } from '@fleet/process/run.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import { programLog } from '@fleet/units/program.ts';
import { type PROGRAM_VERBS, SUDOERS } from '@fleet/units/sudoers.ts';
import { readLogFile } from './log.ts';
import { removeRecipe, writeRecipe } from './recipe.ts';
import {
  isWanted,
  redactionOf,
  type SupervisordSpec,
  supervisordSpecOf,
  unwant,
  want,
  wanted,
} from './spec.ts';
import type { Instance, Place, Supervisor } from './supervisor.ts';
import { asRoot } from './unit.ts';

type Supervisord = RunOf<'supervisord'>;
type State = 'RUNNING' | 'STARTING' | 'BACKOFF' | 'STOPPING' | 'STOPPED' | 'EXITED' | 'FATAL' | 'UNKNOWN';

const SUPERVISORCTL =
  ['/usr/bin/supervisorctl', '/usr/local/bin/supervisorctl'].find(existsSync) ?? '/usr/bin/supervisorctl';
const ASKED_MS = 10_000;
/** Beyond `stopwaitsecs` of its configuration, which nobody can be asked for. */
const STOP_MS = 10 * 60_000;
const TAIL_LINES = 1_000;
const TAIL_BYTES = 16 * 1024;
const DOWN: ReadonlySet<State | undefined> = new Set<State>(['STOPPED', 'EXITED', 'FATAL']);

export const supervisordSupervisor: Supervisor<Supervisord> = {
  async start(instance) {
    const { home } = instance;
    const spec = supervisordSpecOf(instance);
    if (isWanted(spec, await wanted(home)) && (await stateOf(instance)) === 'running') return;
    await requireProgram(instance);
    await bringDown(instance);
    const { program, command } = spec.run;
    const { cursor } = await readLogFile(programLog(program), { lines: 1 });
    if (command) await writeRecipe(instance, spec, { argv: command, notify: false });
    const failed = await bringUp(spec.run);
    if (failed === undefined) return want(home, spec);
    const error = await startFailed(spec, failed, cursor);
    await bringDown(instance);
    throw error;
  },
  stop: bringDown,
  status: stateOf,
  require: requireProgram,
};

/** Only after a reboot: what was stopped since by hand was stopped for a reason. */
export async function reviveSupervisord(home: string, spec: SupervisordSpec): Promise<boolean> {
  if (spec.boot === bootId()) return false;
  const asleep = DOWN.has(await ask(spec.run.program));
  const failed = asleep ? await bringUp(spec.run) : undefined;
  if (failed) throw await startFailed(spec, failed, '');
  await want(home, { ...spec, boot: bootId() });
  return asleep;
}

async function bringDown({ home, service, version, run }: Instance<Supervisord>): Promise<void> {
  await unwant(home);
  await removeRecipe(home);
  const before = await ask(run.program);
  if (before === undefined || DOWN.has(before)) return;
  const ended = await act('stop', run.program, STOP_MS);
  const after = await ask(run.program);
  if (DOWN.has(after)) return;
  throw new FleetError(
    'stop_failed',
    `${service} ${version}: ${describe(ended, ['supervisorctl', 'stop', run.program])}`,
    { next: `supervisorctl status ${run.program} on the host`, data: { state: after, output: ended.output } },
  );
}

/** Undefined where it runs. Supervisorctl waits for `startsecs` of its configuration by itself. */
async function bringUp({ program, within }: Supervisord): Promise<Ended | undefined> {
  const ended = await act('start', program, within);
  return (await ask(program)) === 'RUNNING' ? undefined : ended;
}

async function stateOf({ home, run }: Instance<Supervisord>): Promise<ServiceState> {
  const state = await ask(run.program);
  const spec = await wanted(home);
  switch (state) {
    case 'RUNNING':
      return spec === undefined ? 'unknown' : 'running';
    case 'STARTING':
      return spec === undefined ? 'unknown' : 'recovering';
    case 'BACKOFF':
      return 'failed';
    case 'EXITED':
    case 'FATAL':
      return spec === undefined ? 'stopped' : 'failed';
    case 'STOPPED':
      return 'stopped';
    default:
      return 'unknown';
  }
}

/** Undefined where supervisord does not answer, or knows no such program. */
async function ask(program: string): Promise<State | undefined> {
  const { output } = await act('status', program, ASKED_MS);
  return stateIn(output.text, program);
}

function stateIn(said: string, program: string): State | undefined {
  const [name, state] = said.trim().split(/\s+/);
  return name === program && STATES.has(state as State) ? (state as State) : undefined;
}
const STATES: ReadonlySet<State> = new Set<State>([
  ...(['RUNNING', 'STARTING', 'BACKOFF', 'STOPPING', 'STOPPED', 'EXITED', 'FATAL', 'UNKNOWN'] as const),
]);

function act(verb: (typeof PROGRAM_VERBS)[number], program: string, timeoutMs: number): Promise<Ended> {
  const argv = [...asRoot(), SUPERVISORCTL, verb, program];
  return runProgram({ argv, cwd: '/', env: cleanEnvironment(), timeoutMs });
}

/** Throws `not_provisioned`. */
async function requireProgram({ host, service, run }: Place<Supervisord>): Promise<void> {
  const { output } = await act('status', run.program, ASKED_MS);
  if (stateIn(output.text, run.program) !== undefined) return;
  throw new FleetError(
    'not_provisioned',
    `${host} has no program ${run.program} of supervisord, which ${service} runs as, or no rule to ask for it: ${output.text.trim()}`,
    { next: `supervisorctl status ${run.program} on ${host}; ${SUDOERS} has the agent’s rules` },
  );
}

async function startFailed(spec: SupervisordSpec, ended: Ended, before: string): Promise<FleetError> {
  const { service, version, run } = spec;
  const printed = await readLogFile(programLog(run.program), { lines: TAIL_LINES, after: before });
  const said = `${redactionOf(spec).text(printed.text)}${ended.output.text}`;
  return new FleetError(
    'start_failed',
    `${service} ${version} did not start: ${(await ask(run.program)) ?? 'supervisord does not answer'}`,
    {
      next: `Run it by hand in ${spec.release} to see why.`,
      data: {
        command: run.command,
        output: { text: said.slice(-TAIL_BYTES), dropped: Math.max(0, said.length - TAIL_BYTES) },
      },
    },
  );
}
