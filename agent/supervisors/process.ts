/** A service as a program of its own, watched over by a shim that outlives the agent. */
import { mkdir } from 'node:fs/promises';
import { endGroup, eventually, killMarked } from '@fleet/process/ending.ts';
import { groupLives, lives, type ProcessIdentity, signalGroup } from '@fleet/process/proc.ts';
import { OutputTail } from '@fleet/process/tail.ts';
import type { User } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import { launchShim } from './launch.ts';
import { readLog } from './log.ts';
import { isWanted, type ProcessSpec, processSpecOf, redactionOf, unwant, want, wanted } from './spec.ts';
import { type ProgramEnd, readState } from './state.ts';
import type { Instance, Supervisor } from './supervisor.ts';

type Stop = RunOf<'process'>['stop'];

/** What a shim may take beyond the grace of its program. */
const SHIM_MS = 5_000;
const POLL_MS = 5;
const TAIL_LINES = 1_000;
const TAIL_BYTES = 16 * 1024;

export const processSupervisor: Supervisor<RunOf<'process'>> = {
  async start(instance) {
    const { home } = instance;
    const spec = processSpecOf(instance);
    if (isWanted(spec, await wanted(home)) && (await stateOf(home)) === 'running') return;
    await stop(instance);
    await mkdir(home, { recursive: true, mode: 0o700 });
    const { cursor } = await readLog(home, { lines: 1 });
    await want(home, spec);
    const report = await launchShim(home, spec.user);
    if (report.up) return;
    await stop(instance);
    throw await startFailed(spec, home, report, cursor);
  },
  stop,
  status: ({ home }) => stateOf(home),
};

/** Puts a shim back to work where there should be one; what it watches over need not come up at once. */
export async function reviveProcess(home: string, spec: ProcessSpec): Promise<boolean> {
  const state = await readState(home);
  if (state && lives(state.shim)) return false;
  await endOrphan(home, spec.run.stop, spec.user);
  await launchShim(home, spec.user);
  return true;
}

async function stateOf(home: string): Promise<ServiceState> {
  const state = await readState(home);
  if (!state) return 'stopped';
  const up = state.program !== null && lives(state.program);
  // Nobody watches over an orphan: it may be anything from healthy to blocked.
  if (!lives(state.shim)) return up ? 'unknown' : 'stopped';
  if (state.state === 'running') return up ? 'running' : 'failed';
  if (state.state === 'failed') return up ? 'recovering' : 'failed';
  return 'unknown';
}

/**
 * First the wish, so that an agent that dies here does not start it again; then the shim, which ends its program; then
 * whatever is there although it should not be: the program of a shim that died, or a process that left its group.
 */
async function stop({ home, service, version, run, user }: Instance<RunOf<'process'>>): Promise<void> {
  const spec = await wanted(home);
  const how = spec?.run.supervisor === 'process' ? spec.run.stop : run.stop;
  await unwant(home);
  const shim = (await readState(home))?.shim;
  if (shim) await endShim(shim, how.grace);
  if (await endOrphan(home, how, spec?.user ?? user)) return;
  throw new FleetError('stop_failed', `${service} ${version} still runs after SIGKILL`, {
    next: `See what keeps it: grep -l FLEET_RUN=${home} /proc/*/environ`,
  });
}

/** A shim is alone in its group: its program has one of its own. */
async function endShim(shim: ProcessIdentity, graceMs: number): Promise<void> {
  const gone = () => !lives(shim);
  if (gone()) return;
  signalGroup(shim.pid, 'SIGTERM');
  if (await eventually(gone, graceMs + SHIM_MS, POLL_MS)) return;
  signalGroup(shim.pid, 'SIGKILL');
  await eventually(gone, SHIM_MS, POLL_MS);
}

/** To be called when no shim lives. False where something outlived even SIGKILL. */
async function endOrphan(home: string, { signal, grace }: Stop, user: User | undefined): Promise<boolean> {
  const program = (await readState(home))?.program;
  if (program && lives(program)) {
    const gone = () => !lives(program) && !groupLives(program.pid);
    await endGroup(program.pid, { signal, graceMs: grace, gone, user });
  }
  return killMarked(home, user);
}

async function startFailed(
  spec: ProcessSpec,
  home: string,
  end: ProgramEnd,
  before: string,
): Promise<FleetError> {
  const { service, version, run } = spec;
  const printed = await readLog(home, { lines: TAIL_LINES, after: before });
  const output = new OutputTail(TAIL_BYTES);
  output.push(Buffer.from(redactionOf(spec).text(printed.text)));
  const { code, signal, problem } = end;
  const how = problem ?? (signal ? `it was ended by ${signal}` : `it ended with exit status ${code}`);
  return new FleetError('start_failed', `${service} ${version} did not start: ${how}`, {
    next: `Run it by hand in ${spec.release} to see why.`,
    data: { command: run.command, code, signal, output: output.read() },
  });
}
