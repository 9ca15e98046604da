/** What the figures were seen on. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os';
import { PATH } from './haproxy.ts';

export function conditions(rounds: number): string[] {
  const [day, ...rest] = machine();
  const node = rest.pop();
  return [
    `${day}, ${rounds} rounds, everything on loopback of one machine`,
    ...rest,
    [node, ...versions()].join('; '),
  ];
}

/** The day, the machine, its load at this moment, the system, and Node. */
export function machine(): string[] {
  const model = cpus()[0]?.model.trim() || 'of an unknown kind';
  const system = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  return [
    new Date().toISOString().slice(0, 10),
    `${availableParallelism()} cores (${model}), ${(totalmem() / 1e9).toFixed(0)} GB, load before the run ${loadavg()[0]!.toFixed(2)}`,
    `${system}, ${type()} ${release()}, files on ${fileSystem()}`,
    `Node ${process.versions.node}`,
  ];
}

function fileSystem(): string {
  const { stdout } = spawnSync('df', ['--output=fstype', tmpdir()], { encoding: 'utf8' });
  return stdout?.trim().split('\n')[1] ?? 'an unknown file system';
}

function versions(): string[] {
  return [
    firstLine('rsync', '--version')?.replace(/ +version +([\d.]+).*/, ' $1'),
    firstLine('ssh', '-V')?.split(',')[0],
    firstLine('haproxy', '-v')?.replace(/ version (\S+).*/, ' $1'),
    firstLine('tar', '--version'),
    firstLine('zstd', '--version')?.replace(/^.* (v[\d.]+).*$/, 'zstd $1'),
  ].filter((version) => version !== undefined);
}

function firstLine(program: string, ...argv: string[]): string | undefined {
  const { stdout, stderr, error } = spawnSync(program, argv, {
    encoding: 'utf8',
    env: { ...process.env, PATH },
  });
  return error ? undefined : (stdout || stderr).trim().split('\n')[0];
}
