/** What systemd says of a unit, which everybody may ask, and what it is told to do with one: by root, or by the rules of sudo. */
import { existsSync } from 'node:fs';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { type Ended, ok, run } from '@fleet/process/run.ts';
import { sudoPrefix } from '@fleet/process/sudo.ts';
import type { UNIT_VERBS } from '@fleet/units/sudoers.ts';

const SYSTEMCTL = ['/usr/bin/systemctl', '/bin/systemctl'].find(existsSync) ?? '/usr/bin/systemctl';
const ASKED_MS = 10_000;
const PROPERTIES = {
  LoadState: '',
  ActiveState: '',
  SubState: '',
  User: '',
  MainPID: '',
  InvocationID: '',
  NRestarts: '',
  ActiveEnterTimestampMonotonic: '',
  ExecMainCode: '',
  ExecMainStatus: '',
};
/** As waitid has them, and systemd with it. */
const KILLED = new Set(['2', '3']);

export interface Unit {
  loaded: boolean;
  /** active, reloading, inactive, failed, activating, deactivating. */
  state: string;
  /** For one: auto-restart. */
  within: string;
  user: string;
  /** 0 where none runs. */
  pid: number;
  /** Another one at each start. */
  invocation: string;
  /** How often it was started again by itself since it was last told to start. */
  restarts: number;
  /** For how long it is active, in milliseconds. */
  upMs: number;
  /** How its program ended last. */
  code: number | null;
  signal: number | null;
}

/** Undefined where systemd does not answer: it does not run here, or is starting itself. */
export async function showUnit(unit: string): Promise<Unit | undefined> {
  const properties = Object.keys(PROPERTIES).map((name) => `--property=${name}`);
  const ended = await systemctl([SYSTEMCTL, 'show', ...properties, '--', unit], ASKED_MS);
  if (!ok(ended)) return undefined;
  const found = { ...PROPERTIES };
  for (const line of ended.output.text.split('\n')) {
    const at = line.indexOf('=');
    if (Object.hasOwn(found, line.slice(0, at)))
      found[line.slice(0, at) as keyof typeof found] = line.slice(at + 1);
  }
  const status = Number(found.ExecMainStatus);
  const killed = KILLED.has(found.ExecMainCode);
  return {
    loaded: found.LoadState === 'loaded',
    state: found.ActiveState,
    within: found.SubState,
    user: found.User,
    pid: Number(found.MainPID),
    invocation: found.InvocationID,
    restarts: Number(found.NRestarts),
    upMs: Number(process.hrtime.bigint() / 1000n - BigInt(found.ActiveEnterTimestampMonotonic || 0)) / 1000,
    code: killed ? null : status,
    signal: killed ? status : null,
  };
}

/** Ends when it is done, which for a start is when the unit is ready or has failed. */
export function actOnUnit(
  verb: (typeof UNIT_VERBS)[number],
  unit: string,
  timeoutMs: number,
): Promise<Ended> {
  return systemctl([...asRoot(), SYSTEMCTL, verb, unit], timeoutMs);
}

/** Whether this process may: root has made a rule for exactly this. */
export async function mayActOn(unit: string): Promise<boolean> {
  const [sudo, ...rest] = asRoot();
  if (sudo === undefined) return true;
  return ok(await systemctl([sudo, '-l', ...rest, SYSTEMCTL, 'restart', unit], ASKED_MS));
}

/** Throws where there is no sudo. */
export function asRoot(): string[] {
  return process.getuid?.() === 0 ? [] : sudoPrefix('root', { environment: false });
}

function systemctl(argv: string[], timeoutMs: number): Promise<Ended> {
  return run({ argv, cwd: '/', env: cleanEnvironment(), timeoutMs });
}
