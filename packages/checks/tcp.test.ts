import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { checkContract } from './contract.ts';
import { closedPort, listen } from './servers.fixture.ts';

/** A port whose program is stopped and has as many connections waiting as the kernel keeps for it: more are not answered. */
async function fullPort(t: Test): Promise<number> {
  const program =
    'const s = require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(s.address().port))';
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.on('error', () => {});
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const port = Number(line);
  child.kill('SIGSTOP');
  const waiting = Array.from({ length: 8 }, () => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    return socket;
  });
  t.teardown(() => {
    for (const socket of waiting) socket.destroy();
  });
  await Promise.any(waiting.map((socket) => once(socket, 'connect')));
  return port;
}

/** A port on which something listens after a while. */
async function laterPort(t: Test): Promise<number> {
  const port = await closedPort();
  const server = net.createServer((socket) => socket.on('error', () => {}).destroy());
  const timer = setTimeout(() => server.listen(port, '127.0.0.1'), 200);
  t.teardown(() => {
    clearTimeout(timer);
    server.close();
  });
  return port;
}

t.test('the contract', async (t) => {
  const port = await listen(t, () => {});
  await checkContract(t, {
    passing: { check: { kind: 'tcp', port: '${VALUE}' }, value: String(port) },
    failing: {
      check: { kind: 'tcp', port: await closedPort() },
      detail: /^127\.0\.0\.1:\d+: nothing listens there$/,
    },
    later: async () => ({ kind: 'tcp', port: await laterPort(t) }),
    hanging: { kind: 'tcp', port: await fullPort(t) },
  });
});
