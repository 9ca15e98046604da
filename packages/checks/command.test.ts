import path from 'node:path';
import t from 'tap';
import { CONTEXT, checkContract, checkOf } from './contract.ts';
import { runChecks } from './runChecks.ts';

const command = async (argv: string[], members: object = {}, context = CONTEXT) => {
  const check = checkOf({ kind: 'command', command: argv, ...members });
  return (await runChecks([check], context, { onceOnly: true }))[0]!;
};

t.test('the contract', async (t) => {
  const counter = path.join(t.testdir({}), 'counter');
  await checkContract(t, {
    passing: { check: { kind: 'command', command: ['test', '${VALUE}', '=', 'x y; z'] }, value: 'x y; z' },
    failing: {
      check: { kind: 'command', command: ['sh', '-c', 'echo first; echo all is lost; exit 7'] },
      detail: /exit status 7 after .*: all is lost$/,
    },
    later: async () => ({
      kind: 'command',
      command: ['sh', '-c', 'echo try >> "$0"; test $(wc -l < "$0") -ge 3', counter],
    }),
    hanging: { kind: 'command', command: ['sleep', '1000'] },
  });
});

t.test('it runs in the release, with the environment that it is given and no other', async (t) => {
  const cwd = t.testdir({ 'release.txt': 'this one' });
  const context = { ...CONTEXT, cwd, environment: { ...CONTEXT.environment, PORT: '8080' } };
  t.match(await command(['sh', '-c', 'echo $PORT $HOME $(cat release.txt)'], {}, context), {
    passed: true,
    detail: /: 8080 this one$/,
  });
});

t.test('what cannot be started', async (t) => {
  t.match(await command(['./no/such/program']), { passed: false, detail: /could not be started: .*ENOENT/ });
});
