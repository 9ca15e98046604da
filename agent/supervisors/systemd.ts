/**
 * A service that systemd looks after. Root has made its unit once, the same for every version; it starts what the agent has
 * written into the run folder, which is there for as long as the service should run. So systemd brings it back by itself, after a
 * crash and after a boot, and it is the version that was started: what is written changes only while nothing runs.
 *
 * A unit of the team's own runs what `current` names instead.
 */
import { readlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootId, identify, statOf } from '@fleet/process/proc.ts';
import { describe, type Ended, ok } from '@fleet/process/run.ts';
import { needsSudo } from '@fleet/process/sudo.ts';
import { OutputTail } from '@fleet/process/tail.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { ServiceState } from '@fleet/protocol/messages/step.ts';
import type { RunOf } from '@fleet/protocol/service.ts';
import { unitOf } from '@fleet/units/serviceUnit.ts';
import { SUDOERS } from '@fleet/units/sudoers.ts';
import { readJournal } from './journal.ts';
import { notInGroup, removeRecipe, writeRecipe } from './recipe.ts';
import { isWanted, redactionOf, type SystemdSpec, systemdSpecOf, unwant, want, wanted } from './spec.ts';
import type { Instance, Place, Supervisor } from './supervisor.ts';
import { actOnUnit, mayActOn, showUnit, type Unit } from './unit.ts';

type Systemd = RunOf<'systemd'>;

/** Up for this long, a program has recovered from its crashes. */
const RECOVERED_MS = 10_000;
/** What a stop may take beyond the grace of the program: systemd's own kill among it. */
const STOP_MS = 90_000;
const BOOT_MS = 30_000;
/** One that starts is busy, and so is one that is about to fail; one that sleeps at so many looks in a row has come through. */
const CALM_LOOKS = 3;
const LOOK_EVERY_MS = 5;
const LONGEST_LOOK_MS = 500;
/** What was printed comes to the journal a little later. */
const JOURNAL_MS = 1_000;
const TAIL_LINES = 1_000;
const TAIL_BYTES = 16 * 1024;

export const systemdSupervisor: Supervisor<Systemd> = {
  async start(instance) {
    const { home } = instance;
    const unit = unitFor(instance);
    const spec = systemdSpecOf(instance);
    if (isWanted(spec, await wanted(home)) && (await stateOf(instance)) === 'running') return;
    await requireUnit(instance);
    await bringDown(instance);
    const { cursor } = await readJournal(unit, { lines: 1 });
    const { command, notify, stop } = spec.run;
    if (command) await writeRecipe(instance, spec, { argv: command, notify, stop });
    const how = await bringUp(unit, spec.run);
    if (how.up) return want(home, { ...spec, invocation: how.invocation });
    const error = await startFailed(spec, unit, how, cursor);
    await bringDown(instance);
    throw error;
  },
  stop: bringDown,
  status: stateOf,
  require: requireUnit,
};

export function unitFor({ service, run }: { service: string; run: Systemd }): string {
  return run.unit ?? unitOf(service);
}

/**
 * Only after a reboot, where the unit is not enabled: what was stopped since by hand was stopped for a reason. What is on its way by
 * itself is left to systemd.
 */
export async function reviveSystemd(home: string, spec: SystemdSpec): Promise<boolean> {
  if (spec.boot === bootId()) return false;
  const unit = unitFor(spec);
  const found = await answered(unit);
  const asleep = found.state === 'inactive' || found.state === 'failed';
  if (asleep) {
    const { cursor } = await readJournal(unit, { lines: 1 });
    const how = await bringUp(unit, spec.run);
    if (!how.up) throw await startFailed(spec, unit, how, cursor);
  }
  await want(home, { ...spec, boot: bootId(), invocation: (await showUnit(unit))?.invocation });
  return asleep;
}

/** An agent that comes up with its host may be there before systemd takes questions. Throws `start_failed`. */
async function answered(unit: string): Promise<Unit> {
  const until = performance.now() + BOOT_MS;
  for (;;) {
    const found = await showUnit(unit);
    if (found !== undefined) return found;
    if (performance.now() >= until)
      throw new FleetError('start_failed', `systemd does not say how ${unit} is`, {
        next: `systemctl status ${unit} on the host`,
      });
    await sleep(BOOT_MS / 100);
  }
}

/** First the wish, so that neither a boot nor a crash brings it back; then the unit. */
async function bringDown(instance: Instance<Systemd>): Promise<void> {
  const { home, service, version, run } = instance;
  const unit = unitFor(instance);
  await unwant(home);
  await removeRecipe(home);
  const found = await showUnit(unit);
  if (found !== undefined && (!found.loaded || isDown(found))) return;
  const ended = await actOnUnit('stop', unit, run.stop.grace + STOP_MS);
  const after = await showUnit(unit);
  if (after !== undefined && isDown(after)) return;
  throw new FleetError(
    'stop_failed',
    `${service} ${version}: ${describe(ended, ['systemctl', 'stop', unit])}`,
    {
      next: `systemctl status ${unit} on the host`,
      data: { unit, state: after?.state, output: ended.output },
    },
  );
}

function isDown({ state, pid }: Unit): boolean {
  return (state === 'inactive' || state === 'failed') && pid === 0;
}

interface Up {
  up: true;
  invocation: string;
}
interface Down {
  up: false;
  ended: Ended;
  unit: Unit | undefined;
}

/** Restarted, because somebody may have started it meanwhile, with what was written before. */
async function bringUp(unit: string, { notify, within, command }: Systemd): Promise<Up | Down> {
  const ended = await actOnUnit('restart', unit, within);
  const began = await showUnit(unit);
  if (ok(ended) && began?.state === 'active') {
    // Fleet's unit says READY for a program that does not, before there is a program.
    if (command && !notify) await comesThrough(began.pid);
    const now = await showUnit(unit);
    if (now?.state === 'active' && now.invocation === began.invocation)
      return { up: true, invocation: now.invocation };
    return { up: false, ended, unit: now };
  }
  return { up: false, ended, unit: began };
}

async function comesThrough(pid: number): Promise<void> {
  const until = performance.now() + LONGEST_LOOK_MS;
  for (let calm = 0; calm < CALM_LOOKS && performance.now() < until; ) {
    if (identify(pid) === undefined) return;
    const stat = statOf(pid);
    // The launcher waits for what it asks; only what it becomes counts.
    calm = stat?.state === 'S' && stat.name !== 'launch' ? calm + 1 : 0;
    await sleep(LOOK_EVERY_MS);
  }
}

async function stateOf(instance: Instance<Systemd>): Promise<ServiceState> {
  const unit = await showUnit(unitFor(instance));
  if (unit === undefined) return 'unknown';
  const spec = await wanted(instance.home);
  switch (unit.state) {
    case 'active':
    case 'reloading':
      if (spec === undefined || !(await isOf(instance, unit, spec.invocation))) return 'unknown';
      return unit.restarts > 0 && unit.upMs < RECOVERED_MS ? 'recovering' : 'running';
    case 'activating':
      return unit.within === 'auto-restart' || unit.restarts > 0 ? 'failed' : 'unknown';
    case 'failed':
      return spec === undefined ? 'stopped' : 'failed';
    case 'inactive':
      return 'stopped';
    default:
      return 'unknown';
  }
}

/** Whether what runs is this version: a unit of the team's own that was started by others runs what `current` named then. */
async function isOf(
  { run, home, version }: Instance<Systemd>,
  unit: Unit,
  invocation?: string,
): Promise<boolean> {
  if (run.unit === undefined || unit.invocation === invocation) return true;
  const current = await readlink(join(dirname(home), 'current')).catch(() => '');
  return basename(current) === version;
}

/** What root has to have made. Throws `not_provisioned`. */
async function requireUnit({ host, service, run, user }: Place<Systemd>): Promise<void> {
  const unit = unitFor({ service, run });
  const missing = (what: string) =>
    new FleetError('not_provisioned', `${host} ${what}`, {
      next: `fleet hosts add -p PROFILE ${host} makes what its services need, also on a host that has joined`,
      data: { unit },
    });
  const found = await showUnit(unit);
  if (found === undefined) throw missing(`has no systemd that answers, to look after ${service}`);
  if (!found.loaded) throw missing(`has no unit ${unit}, which ${service} runs as`);
  if (run.unit === undefined && found.user !== (user?.name ?? ''))
    throw missing(`runs ${unit} as ${found.user || 'root'}, and its agent.yaml says ${user?.name ?? 'self'}`);
  if (!(await mayActOn(unit)))
    throw missing(`has no rule in ${SUDOERS} by which its agent may restart ${unit}`);
  if (user && needsSudo(user) && !process.getgroups?.().includes(user.gid))
    throw notInGroup({ host, service, user });
}

async function startFailed(spec: SystemdSpec, unit: string, down: Down, before: string): Promise<FleetError> {
  const { service, version, run } = spec;
  const output = new OutputTail(TAIL_BYTES);
  output.push(Buffer.from(redactionOf(spec).text(await printedSince(unit, before))));
  const { code = null, signal = null } = down.unit ?? {};
  return new FleetError('start_failed', `${service} ${version} did not start: ${reasonOf(down, run)}`, {
    next: `Run it by hand in ${spec.release} to see why; journalctl -u ${unit} has all that it printed.`,
    data: { unit, command: run.command, code, signal, output: output.read() },
  });
}

function reasonOf({ ended, unit }: Down, { within }: Systemd): string {
  if (ended.reason === 'timeout') return `it was not ready within ${within / 1000} s`;
  if (unit?.signal) return `it was ended by signal ${unit.signal}`;
  if (unit?.code) return `it ended with exit status ${unit.code}`;
  const said = ended.output.text.trim();
  return `its unit is ${unit?.state ?? 'unknown'}${said === '' ? '' : `: ${said}`}`;
}

/** What it printed is in the journal before long; what systemd says of its end may come before that. */
async function printedSince(unit: string, after: string): Promise<string> {
  const until = performance.now() + JOURNAL_MS;
  for (let before = ''; ; ) {
    await sleep(JOURNAL_MS / 10);
    const { text } = await readJournal(unit, { lines: TAIL_LINES, after });
    if ((text !== '' && text === before) || performance.now() >= until) return text;
    before = text;
  }
}
