/** The machine's own tools, run to their end. */
import { execFileSync, spawnSync } from 'node:child_process';

/** Debian has some of them where only root looks. */
export const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** What it printed. Throws with what it complained of. */
export function command(...argv: string[]): string {
  const [program = '', ...rest] = argv;
  return execFileSync(program, rest, {
    encoding: 'utf8',
    env: { ...process.env, PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** For cleaning up: goes on where there is nothing to clean. */
export function tryCommand(...argv: string[]): string {
  const [program = '', ...rest] = argv;
  return spawnSync(program, rest, { encoding: 'utf8', env: { ...process.env, PATH } }).stdout ?? '';
}

/** Why a run cannot be made here, or undefined where it can. */
export function whyNotHere(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces';
  const missing = ['ip', 'nft', 'tc', 'nsenter', 'haproxy', 'git', 'perl'].filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`], { env: { PATH } }).status !== 0,
  );
  if (missing.length > 0) return `needs ${missing.join(', ')}`;
  const probe = `fleet-probe-${process.pid}`;
  const made = spawnSync('ip', ['netns', 'add', probe], { env: { PATH } }).status === 0;
  tryCommand('ip', 'netns', 'del', probe);
  return made ? undefined : 'needs network namespaces, which this machine does not give';
}
