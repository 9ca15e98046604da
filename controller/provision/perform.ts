/** One act after the other. What cannot be done ends it there: what comes later would stand on it. */

import { run as runProgram } from '@fleet/process/run.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import { type Act, type ByOperator, HELD } from './acts.ts';
import type { Joining } from './joining.ts';
import { parcelOf, type Shelf } from './programs.ts';
import { PUT_PROGRAM, partsOf } from './putProgram.ts';
import type { Root } from './root.ts';

export interface Doing {
  root: Root;
  shelf: Pick<Shelf, 'artifact'>;
  joining: Joining;
  /** What hooks are told. */
  target: { host: string; address: string; port: number; user: string };
  /** Whether whoever adds the host lets this run on their own machine. */
  admitHook(argv: readonly string[]): Promise<boolean>;
  tell: Telling;
  signal: AbortSignal;
  sent: { bytes: number };
}
export interface Telling {
  began(act: Act): void;
  /** Bytes that have gone of those there are. */
  moved(act: Act, bytes: number, of: number): void;
  ended(act: Act, outcome: ActOutcome, note?: string): void;
}
export type ActOutcome = 'ok' | 'changed' | 'skipped' | 'failed' | 'unreachable';

/** Throws nothing: what went wrong is the answer. */
export async function perform(acts: readonly Act[], doing: Doing): Promise<FleetError | undefined> {
  let failure: FleetError | undefined;
  for (const act of acts) {
    if (failure !== undefined) {
      doing.tell.ended(act, 'skipped');
      continue;
    }
    doing.tell.began(act);
    try {
      doing.tell.ended(act, ...(await carryOut(act, doing)));
    } catch (error) {
      failure = asFleetError(error);
      doing.tell.ended(act, failure.code === 'ssh_lost' ? 'unreachable' : 'failed');
    }
  }
  return failure;
}

/** Where root alone does it all. */
export function performByRoot(
  acts: readonly Act[],
  doing: Pick<Doing, 'root' | 'tell' | 'signal'>,
): Promise<FleetError | undefined> {
  const never = () => Promise.reject(new Error('not an act of root'));
  return perform(acts, {
    ...doing,
    shelf: { artifact: never },
    joining: { join: never, untilConnected: never },
    target: { host: doing.root.host, address: '', port: 0, user: '' },
    admitHook: never,
    sent: { bytes: 0 },
  });
}

async function carryOut(act: Act, doing: Doing): Promise<[ActOutcome, note?: string]> {
  const { root, joining, target } = doing;
  const { do: what } = act;
  switch (what.by) {
    case 'root': {
      const { script, args, stdin, timeoutMs } = what;
      const ended = await root.run(script, {
        args,
        ...(stdin && { stdin }),
        ...(timeoutMs && { timeoutMs }),
      });
      if (ended.code === HELD) return ['ok'];
      if (ended.code !== 0) throw failed(target.host, act, `${ended.stdout}\n${ended.stderr}`, ended.code);
      return ['changed'];
    }
    case 'program':
      await put(act, what, doing);
      return ['changed'];
    case 'join':
      await joining.join(root, what);
      return ['changed'];
    case 'wait':
      await joining.untilConnected(root);
      return ['ok'];
    case 'operator':
      return hook(act, what, doing);
  }
}

async function put(act: Act, { program, root: place }: Extract<Act['do'], { by: 'program' }>, doing: Doing) {
  const { root, shelf, tell, target, sent } = doing;
  const { service, version, manifest } = program;
  const artifact = await shelf.artifact(program);
  const parts = partsOf(program);
  let gone = 0;
  const ended = await root.run(PUT_PROGRAM, {
    args: [place, service, version, manifest.artifact.sha256, ...parts.map(({ length }) => String(length))],
    stdin: parcelOf(parts, artifact, (bytes) => {
      gone += bytes;
      tell.moved(act, gone, manifest.artifact.size);
    }),
    timeoutMs: 60 * 60_000,
  });
  sent.bytes += gone + parts.reduce((sum, { length }) => sum + length, 0);
  if (ended.code !== 0) throw failed(target.host, act, ended.stderr, ended.code);
}

async function hook(
  act: Act,
  { hook: { name, command, unless, timeout } }: ByOperator,
  { admitHook, target, signal }: Doing,
): Promise<[ActOutcome, note?: string]> {
  const filled = (argv: readonly string[]) =>
    argv.map((word) =>
      word.replace(/\{(host|address|port|user)\}/g, (_, key: keyof typeof target) => String(target[key])),
    );
  if (!(await admitHook(filled(command))))
    return [
      'skipped',
      `the hook ${name} was not run: it is run with --hooks, or where it is admitted at a terminal`,
    ];
  const runIt = (argv: readonly string[]) =>
    runProgram({
      argv: filled(argv),
      cwd: process.cwd(),
      // The tool is the operator's own, and finds its settings where it always does.
      env: Object.fromEntries(Object.entries(process.env).map(([key, value]) => [key, value ?? ''])),
      timeoutMs: timeout,
      signal,
      // Such as connections of SSH that it shares.
      leavesDaemons: true,
    });
  if (unless !== undefined && (await runIt(unless)).code === 0) return ['ok'];
  const ended = await runIt(command);
  if (ended.code !== 0) throw failed(target.host, act, ended.output.text, ended.code);
  return ['changed'];
}

function failed(host: string, { says, kind }: Act, output: string, code: number | null): FleetError {
  const full = /No space left on device/.test(output);
  return new FleetError(
    full ? 'disk_full' : 'act_failed',
    `${host}: ${kind}: ${says}: ${full ? 'the disk is full' : `exit status ${code}`}`,
    {
      next: full ? `make room on ${host}, then again: what is in place is not sent anew` : undefined,
      data: { host, output: output.trim().slice(-4000) },
    },
  );
}
