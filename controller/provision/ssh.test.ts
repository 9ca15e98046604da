/** Against a real sshd of our own on loopback: who is let in with what, that words arrive as they are, and links that are lost. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import t, { type Test } from 'tap';
import { readKnownHosts } from './knownHosts.ts';
import { type Means, openKey, reach } from './reach.ts';
import { becomeRoot } from './root.ts';

const SSHD = '/usr/sbin/sshd';
const skip = existsSync(SSHD) ? false : 'needs sshd';

interface Sshd {
  port: number;
  dir: string;
  hostKey: string;
}

async function startSshd(t: Test): Promise<Sshd> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-ssh-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const keygen = (name: string, passphrase = '') =>
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', name, '-f', join(dir, name)]);
  for (const name of ['host', 'user', 'stranger']) keygen(name);
  keygen('closed', 'open sesame');
  const publics = ['user', 'closed'].map((name) => readFileSync(join(dir, `${name}.pub`), 'utf8'));
  writeFileSync(join(dir, 'authorized'), publics.join(''));
  const port = await freePort();
  const config = [
    ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${dir}/host`, 'PidFile none', 'UsePAM no'],
    ...[
      `AuthorizedKeysFile ${dir}/authorized`,
      'StrictModes no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
    ],
  ];
  writeFileSync(join(dir, 'config'), `${config.join('\n')}\n`);
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  const sshd = spawn(SSHD, ['-D', '-e', '-f', join(dir, 'config')], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(async () => {
    if (sshd.exitCode === null && sshd.kill('SIGKILL')) await once(sshd, 'exit');
  });
  await new Promise<void>((resolve) => {
    sshd.stderr.setEncoding('utf8').on('data', (text: string) => text.includes('listening') && resolve());
  });
  const [type, key] = readFileSync(join(dir, 'host.pub'), 'utf8').split(' ');
  return { port, dir, hostKey: `${type} ${key}` };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function meansOf(sshd: Sshd, port = sshd.port, secret?: string): Means {
  const file = join(sshd.dir, `known-${port}`);
  writeFileSync(file, `[127.0.0.1]:${port} ${sshd.hostKey}\n`);
  const person = { askText: async () => undefined, askSecret: async () => secret, tell: () => {} };
  return {
    known: readKnownHosts([file]),
    knownFile: file,
    fingerprints: new Map(),
    key: undefined,
    agent: undefined,
    person,
  };
}
const targetAt = (port: number) => ({ host: 'here', address: '127.0.0.1', port, user: userInfo().username });

t.test('who is let in, and with what', { skip }, async (t) => {
  const sshd = await startSshd(t);
  const target = targetAt(sshd.port);
  const enter = async (more: Partial<Means>) => {
    const connection = await reach(target, { ...meansOf(sshd), ...more });
    const { stdout } = await connection.run(['echo', 'in']);
    connection.close();
    return stdout;
  };
  const { person } = meansOf(sshd);
  t.equal(await enter({ key: await openKey(join(sshd.dir, 'user'), person) }), 'in\n', 'a key in a file');
  const typing = { ...person, askSecret: async () => 'open sesame' };
  t.equal(
    await enter({ key: await openKey(join(sshd.dir, 'closed'), typing) }),
    'in\n',
    'one with a passphrase',
  );
  await t.rejects(openKey(join(sshd.dir, 'closed'), person), { code: 'bad_request', message: /no terminal/ });
  await t.rejects(enter({ key: await openKey(join(sshd.dir, 'stranger'), person) }), {
    code: 'ssh_refused',
    next: /--key FILE/,
  });
  await t.rejects(enter({}), { code: 'ssh_refused' }, 'nothing to show');

  const socket = join(sshd.dir, 'agent');
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
  t.teardown(() => agent.kill('SIGKILL'));
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  execFileSync('ssh-add', ['-q', join(sshd.dir, 'user')], {
    env: { ...process.env, SSH_AUTH_SOCK: socket },
    stdio: 'ignore',
  });
  t.equal(await enter({ agent: socket }), 'in\n', 'an agent, as one that is forwarded');
  await t.rejects(enter({ agent: join(sshd.dir, 'nobody') }), {
    code: 'ssh_refused',
    message: /SSH_AUTH_SOCK does not answer/,
  });

  await t.rejects(reach(targetAt(await freePort()), meansOf(sshd)), {
    code: 'ssh_unreachable',
    next: /ADDRESS/,
  });
  const other = meansOf({ ...sshd, hostKey: readFileSync(join(sshd.dir, 'user.pub'), 'utf8').trim() });
  await t.rejects(reach(target, { ...other, key: await openKey(join(sshd.dir, 'user'), person) }), {
    code: 'host_key_changed',
  });
});

t.test('words and bytes arrive as they are, statuses come back', { skip }, async (t) => {
  const sshd = await startSshd(t);
  const means = meansOf(sshd);
  const connection = await reach(targetAt(sshd.port), {
    ...means,
    key: await openKey(join(sshd.dir, 'user'), means.person),
  });
  t.teardown(() => connection.close());
  for (const word of [
    '',
    ' ',
    "it's",
    '"$HOME"',
    '`id`',
    '$(id)',
    'a\nb',
    '\\',
    '*',
    '-n',
    ';',
    "''",
    "'\\''",
    'é日本🚀',
  ])
    t.equal((await connection.run(['printf', '%s.', word])).stdout, `${word}.`, JSON.stringify(word));
  t.match(await connection.run(['sh', '-c', 'echo out; echo err >&2; exit 3']), {
    code: 3,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  t.match(await connection.run(['sh', '-c', 'kill -9 $$']), { code: 128, stderr: /SIG/ });
  const chunk = Buffer.alloc(256 * 1024, 7);
  const stdin = Readable.from(
    Array.from({ length: 40 }, () => chunk),
    { objectMode: false },
  );
  t.equal((await connection.run(['wc', '-c'], { stdin })).stdout.trim(), String(40 * chunk.length));
  const unread = Readable.from(
    Array.from({ length: 40 }, () => chunk),
    { objectMode: false },
  );
  t.equal(
    (await connection.run(['sh', '-c', 'exit 5'], { stdin: unread })).code,
    5,
    'one that reads nothing of it',
  );
  await t.rejects(
    connection.run(['cat'], {
      stdin: new Readable({
        read() {
          this.destroy(new Error('no more'));
        },
      }),
    }),
    /no more/,
  );

  const root = process.getuid?.() === 0 ? await becomeRoot(connection, async () => undefined) : undefined;
  if (root !== undefined) {
    const { stdout } = await root.run('printf "%s|%s|" "$1" "$2"; cat; echo "|$LC_ALL"', {
      args: ['', "it's"],
      stdin: 'in',
    });
    t.equal(stdout, "|it's|in|C\n");
  }
});

t.test('a link that is lost is an error, and never an empty answer', { skip }, async (t) => {
  const sshd = await startSshd(t);
  const open = new Set<Socket>();
  const between = createServer((socket) => {
    const there = connect(sshd.port, '127.0.0.1');
    for (const each of [socket, there]) open.add(each.on('error', () => {}));
    socket.pipe(there).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(between, 'listening');
  t.teardown(() => between.close());
  const { port } = between.address() as AddressInfo;
  const means = meansOf(sshd, port);
  const key = await openKey(join(sshd.dir, 'user'), means.person);
  const connection = await reach(targetAt(port), { ...means, key });
  const waiting = t.rejects(connection.run(['sleep', '60']), { code: 'ssh_lost' });
  await connection.run(['true']);
  for (const socket of open) socket.destroy();
  await waiting;
  await t.rejects(connection.run(['true']), {
    code: 'ssh_lost',
    message: /^here: the connection to 127\.0\.0\.1 was lost/,
  });

  const late = await reach(targetAt(sshd.port), { ...meansOf(sshd), key });
  await t.rejects(late.run(['sleep', '60'], { timeoutMs: 200 }), {
    code: 'ssh_lost',
    message: /nothing came for/,
  });
  late.close();
});
