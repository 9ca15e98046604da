import { join } from 'node:path';
import t from 'tap';
import { readSettings } from './config.ts';

const ALL = { services: ['*'], run_as: {}, labels: {}, upgrades: true };

t.test('from the command line', async (t) => {
  t.equal(await readSettings(['-h']), 'help');
  t.strictSame(await readSettings(['--host', 'web-1', '--label', 'role=web', '--label', 'url=http://x']), {
    host: 'web-1',
    controller: 'ws://127.0.0.1:7300/agent',
    root: '/srv/fleet',
    data: '/srv/fleet/.agent',
    labels: { role: 'web', url: 'http://x' },
    joined: undefined,
    file: undefined,
    policy: ALL,
    endServices: false,
    selfTest: false,
  });
  t.match(await readSettings(['--host', 'web-1', '--root', 'here']), {
    root: join(process.cwd(), 'here'),
    data: join(process.cwd(), 'here/.agent'),
  });
  await t.rejects(readSettings([]), { code: 'not_enrolled', message: /joined no fleet/ });
  await t.rejects(
    readSettings(['--host', 'a', '--controller', 'ws://10.0.0.1:7300']),
    { code: 'bad_config', message: /is plain, and not on this machine/ },
    'only a controller on this machine is dialled in plain',
  );
  await t.rejects(
    readSettings(['--host', 'a', '--controller', 'wss://10.0.0.1:7301']),
    { code: 'not_enrolled' },
    'without a certificate there is nobody to dial',
  );
  await t.rejects(readSettings(['--hots', 'web-1']), { code: 'bad_request', message: /--hots/ });
  await t.rejects(readSettings(['--host', 'web-1', '--label', 'role']), {
    code: 'bad_request',
    message: /NAME=VALUE/,
  });
  await t.rejects(readSettings(['--host', '../up']), { code: 'bad_config', message: /^host: / });
  await t.rejects(readSettings(['--host', 'a', '--controller', 'http://x']), {
    code: 'bad_config',
    message: /like wss:/,
  });
});

t.test('from a file, whose paths are relative to it, and which the command line overrules', async (t) => {
  const directory = t.testdir({
    'agent.yaml':
      'host: web-1\ncontroller: ws://127.0.0.1:7300/elsewhere\nroot: releases\ndata: /var/agent\nlabels: {role: web, port: "80"}\n' +
      'policy: {services: [web], run_as: {"*": app}, root_hooks: true, labels: {port: [80]}}\n',
    'wrong.yaml': 'host: web-1\nrott: releases\n',
  });
  const file = join(directory, 'agent.yaml');
  t.strictSame(await readSettings(['--config', file]), {
    host: 'web-1',
    controller: 'ws://127.0.0.1:7300/elsewhere',
    root: join(directory, 'releases'),
    data: '/var/agent',
    labels: { role: 'web', port: '80' },
    joined: undefined,
    policy: {
      services: ['web'],
      run_as: { '*': 'app' },
      root_hooks: true,
      labels: { port: ['80'] },
      upgrades: true,
    },
    file,
    endServices: false,
    selfTest: false,
  });
  t.match(await readSettings(['--config', file, '--host', 'web-2', '--label', 'port=81']), {
    host: 'web-2',
    labels: { role: 'web', port: '81' },
  });
  await t.rejects(readSettings(['--config', join(directory, 'wrong.yaml')]), {
    code: 'bad_config',
    message: /:2:1: .*rott/,
  });
});
