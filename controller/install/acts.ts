/** What is done to the machine, as values: each says itself in one line, and is done by one script of sh, run by root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { FleetError } from '@fleet/protocol/errors.ts';

export interface Act {
  says: string;
  /** Of sh; `args` are its $1 and so on, so that no name is ever read as code. */
  script: string;
  args: readonly string[];
  stdin?: string;
}

export function act(says: string, script: string, args: readonly string[] = [], stdin?: string): Act {
  return { says, script: `set -eu\n${script}`, args, ...(stdin === undefined ? {} : { stdin }) };
}

/** Throws `install_failed` with what it printed. Returns what it said. */
export async function perform({ says, script, args, stdin = '' }: Act): Promise<string> {
  const child = spawn('sh', ['-c', script, 'sh', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => {}).end(stdin);
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  if (code === 0) return out;
  throw new FleetError('install_failed', `${says}: ended with ${code}`, {
    next: 'mend what it says, then the same command again: what is done is not done twice',
    data: { output: `${out}${err}` },
  });
}
