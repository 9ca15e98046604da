/** Real servers for tests of balancers: each a process of its own that answers with its name. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

export interface AnsweringServers {
  port(name: string): number;
  /** Ended at once, as by a crash. */
  stop(name: string): Promise<void>;
  /** On the port that it had. Answers when this resolves. */
  start(name: string): Promise<void>;
  stopAll(): Promise<void>;
}

/** Answers with its name once it has the whole request: a client holds a session open by not ending its body. */
const PROGRAM = `
  const [name, port] = process.argv.slice(1);
  const server = require('node:http').createServer((request, response) => {
    request.resume().on('end', () => response.end(name)).on('error', () => {});
  });
  server.on('upgrade', (request, socket) => {
    socket.on('error', () => {}).on('end', () => socket.end());
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n' + name);
  });
  server.listen(Number(port), '127.0.0.1', () => console.log(server.address().port));
`;

export async function startAnswering(names: string[]): Promise<AnsweringServers> {
  const ports = new Map<string, number>();
  const running = new Map<string, ChildProcess>();

  async function start(name: string): Promise<void> {
    const argv = ['-e', PROGRAM, name, String(ports.get(name) ?? 0)];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    child.on('error', () => {});
    running.set(name, child);
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    ports.set(name, Number(line));
  }
  async function stop(name: string): Promise<void> {
    const child = running.get(name);
    if (child === undefined) return;
    running.delete(name);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  await Promise.all(names.map(start));
  return {
    port: (name) => ports.get(name)!,
    stop,
    start,
    stopAll: async () => void (await Promise.all(names.map(stop))),
  };
}

/** Wait for it, however slow the machine is; what never comes is an error that says what it was. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`gave up waiting until ${what}`);
    await pause(5);
  }
}
