/** A real HAProxy for tests, with a configuration of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { askHaproxy } from './haproxy/socket.ts';

export interface HaproxyFixture {
  backends: Array<{
    name: string;
    balance?: string;
    servers: Array<{ name: string; port: number; options?: string }>;
  }>;
  /** Its configuration and its output go here. */
  dir: string;
}
export interface RunningHaproxy {
  /** On 127.0.0.1. The Host header names the backend; without one of their names it is the first. */
  port: number;
  /** The runtime socket, level admin. */
  socket: string;
  /** Another one, level operator: it may look and not act. */
  operatorSocket: string;
  stop(): Promise<void>;
}

const ENVIRONMENT = { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };

/** For \`t.test(name, { skip: skipWithoutHaproxy() }, ...)\`: why the test cannot run here, or false. In CI it is an error. */
export function skipWithoutHaproxy(): false | string {
  const { status } = spawnSync('haproxy', ['-v'], { env: ENVIRONMENT });
  if (status === 0) return false;
  const why = 'haproxy is not installed: apt-get install haproxy';
  if (process.env.CI === 'true') throw new Error(why);
  return why;
}

export async function startHaproxy({ backends, dir }: HaproxyFixture): Promise<RunningHaproxy> {
  // A path of a socket holds about 100 characters; a test's folder may take more.
  const sockets = await mkdtemp(path.join(os.tmpdir(), 'haproxy-'));
  const socket = path.join(sockets, 'admin');
  const operatorSocket = path.join(sockets, 'operator');
  const file = path.join(dir, 'haproxy.cfg');
  // The port is free when it is chosen and may be taken when HAProxy binds it; then another one is.
  for (let left = 3; ; left--) {
    const port = await freePort();
    await writeFile(file, configuration({ backends, port, socket, operatorSocket }));
    const child = spawn('haproxy', ['-f', file, '-db'], {
      env: ENVIRONMENT,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.on('error', (error) => {
      said += error.message;
    });
    child.stderr.on('data', (chunk) => {
      said = (said + chunk).slice(-4000);
    });
    if (await answers(child, socket))
      return { port, socket, operatorSocket, stop: () => stop(child, sockets) };
    if (left === 0) throw new Error(`haproxy did not start: ${said}`);
  }
}

function configuration(given: {
  backends: HaproxyFixture['backends'];
  port: number;
  socket: string;
  operatorSocket: string;
}): string {
  const { backends, port, socket, operatorSocket } = given;
  const lines = [
    'global',
    '  noreuseport',
    `  stats socket ${socket} mode 600 level admin`,
    `  stats socket ${operatorSocket} mode 600 level operator`,
    'defaults',
    '  mode http',
    '  timeout connect 1s',
    '  timeout client 60s',
    '  timeout server 60s',
    '  option redispatch',
    '  default-server check inter 200ms fall 2 rise 1',
    'frontend front',
    `  bind 127.0.0.1:${port}`,
    ...backends.map(({ name }) => `  use_backend ${name} if { hdr(host),field(1,:) -i ${name} }`),
    `  default_backend ${backends[0]!.name}`,
  ];
  for (const { name, servers, balance } of backends) {
    lines.push(`backend ${name}`);
    if (balance !== undefined) lines.push(`  balance ${balance}`);
    for (const { name, port, options = '' } of servers)
      lines.push(`  server ${name} 127.0.0.1:${port} ${options}`.trimEnd());
  }
  return `${lines.join('\n')}\n`;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** It answers only once it has bound every socket and port; before that it may still find one taken and end. */
async function answers(child: ChildProcess, socket: string): Promise<boolean> {
  while (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const answer = await askHaproxy(socket, 'show info', 1000).catch(() => undefined);
    if (answer !== undefined) return true;
    await pause(20);
  }
  return false;
}

async function stop(child: ChildProcess, sockets: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  await rm(sockets, { recursive: true, force: true });
}
