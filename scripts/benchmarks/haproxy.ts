/** A HAProxy of our own, whose runtime socket is on loopback, where a shell script can ask it too. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askHaproxy } from '@fleet/balancers/haproxy/socket.ts';
import { freePorts } from '../local/ports.ts';
import { type Program, startProgram, waitUntil } from '../local/program.ts';

export interface Backend {
  name: string;
  servers: Array<{ name: string; port: number }>;
}

export interface Haproxy {
  /** Of the runtime socket: HOST:PORT. */
  address: string;
  program: Program;
}

/** Debian has it where only root looks. */
export const PATH = `${process.env.PATH}:/usr/sbin`;

export function hasProgram(name: string, ...argv: string[]): boolean {
  return spawnSync(name, argv, { env: { ...process.env, PATH }, stdio: 'ignore' }).error === undefined;
}

/**
 * A server that is shown again is up for HAProxy when it has passed a check, which is neither the tool's time nor the
 * application's: checks are frequent here to keep it short.
 */
export async function startHaproxy(dir: string, backends: Backend[]): Promise<Haproxy> {
  const [port = 0] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  const lines = [
    'global',
    `  stats socket ipv4@${address} level admin`,
    'defaults',
    '  mode http',
    '  timeout connect 1s',
    '  timeout client 60s',
    '  timeout server 60s',
    '  default-server check inter 50ms fall 2 rise 1',
  ];
  for (const { name, servers } of backends) {
    lines.push(`backend ${name}`);
    for (const server of servers) lines.push(`  server ${server.name} 127.0.0.1:${server.port}`);
  }
  const config = join(dir, 'haproxy.cfg');
  writeFileSync(config, `${lines.join('\n')}\n`);
  const program = startProgram(['haproxy', '-db', '-f', config], {
    cwd: dir,
    log: join(dir, 'haproxy.log'),
    env: { PATH },
  });
  const answers = () => askHaproxy(address, 'show info', 1000).then(Boolean, () => false);
  await waitUntil('HAProxy answers', answers, program);
  return { address, program };
}
