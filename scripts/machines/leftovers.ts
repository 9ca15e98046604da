/** What a run left that was killed before it could clean up: found by the number of its process, which is in every name. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tryCommand } from './commands.ts';
import { removeCgroup } from './machine.ts';
import { kill } from './namespaces.ts';

/** Takes away namespaces, mounts, cgroups and folders of processes that are gone. */
export function sweepLeft(prefix: string): void {
  const isLeft = (name: string) => {
    const [, pid = ''] = new RegExp(`^${prefix}(\\d+)-`).exec(name) ?? [];
    return pid !== '' && !existsSync(`/proc/${pid}`);
  };
  for (const name of readdirSync(tmpdir()).filter(isLeft)) {
    const pid = name.slice(prefix.length).split('-')[0]!;
    removeCgroup(`-${pid}`);
    const machines = join(tmpdir(), name, 'machines');
    for (const machine of existsSync(machines) ? readdirSync(machines) : [])
      tryCommand('umount', '--recursive', join(machines, machine, 'root'));
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  const namespaces = tryCommand('ip', 'netns', 'list').split('\n');
  for (const namespace of namespaces.map((line) => line.split(' ')[0]!).filter(isLeft)) {
    const pids = tryCommand('ip', 'netns', 'pids', namespace).split('\n').filter(Boolean);
    for (const pid of pids) kill(Number(pid), 'SIGKILL');
    tryCommand('ip', 'netns', 'del', namespace);
  }
}
