/** A controller that sends other values than the sealed fleet.yaml declares: the agent takes none of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { service as sealedService } from '@fleet/protocol/service.ts';
import t from 'tap';
import { openRig, until } from '../rig.fixture.ts';

t.setTimeout(120_000);

/** Writes down its arguments and its environment, and stays. */
const PROGRAM = `
  require('fs').writeFileSync('data/' + process.argv[2], JSON.stringify({ argv: process.argv.slice(2), env: process.env }));
  if (process.argv[2] === 'service') setInterval(() => {}, 1000);
`;
const SEALED = {
  variables: { GREETING: { default: 'hello' }, PORT: {} },
  run: {
    supervisor: 'process',
    command: ['node', 'program.cjs', 'service', '${GREETING}', 'literal ${GREETING}'],
    environment: { GREETING: '${GREETING}', LD_LIBRARY_PATH: '/its/own' },
  },
  once: [{ name: 'migrate', command: ['node', 'program.cjs', 'migrate', '${GREETING}'] }],
  smoke: [{ name: 'look', kind: 'command', command: ['node', 'program.cjs', 'smoke', '${GREETING}'] }],
  shared: ['data'],
};

t.test('values from outside', async (t) => {
  const rig = await openRig(t);
  const { controller } = rig;
  await rig.start();
  const built = await rig.build('web', '1.0.0', SEALED, { 'program.cjs': PROGRAM });
  await controller.stage(built);
  await controller.activate(built);
  const about = { service: 'web', version: '1.0.0' };
  const data = join(rig.home('web').shared, 'data');
  const attempts = (values: Record<string, string>): Record<string, () => Promise<unknown>> => ({
    'step.restart': () => controller.restart(built, { values }),
    'step.once': () =>
      controller.ask('step.once', {
        command: controller.command(),
        ...about,
        name: 'migrate',
        values,
      }),
    'check.smoke': () => controller.ask('check.smoke', { ...about, values, skip: [], onceOnly: true }),
  });
  for (const [what, values, code] of [
    ['one that is not declared', { PORT: '1', EXTRA: 'x' }, 'undeclared_variable'],
    ['the version’s own name', { PORT: '1', VERSION: '9.9.9' }, 'undeclared_variable'],
    ['none for one that has no default', { GREETING: 'x' }, 'missing_variable'],
    ['a loader’s', { PORT: '1', LD_PRELOAD: './mine.so' }, 'bad_message'],
    ['Node’s', { PORT: '1', NODE_OPTIONS: '--require=./mine.cjs' }, 'bad_message'],
    ['the path', { PORT: '1', PATH: '.' }, 'bad_message'],
    ['no name', { PORT: '1', 'X=Y': 'x' }, 'bad_message'],
    ['an empty byte', { PORT: '1', GREETING: 'a\0b' }, 'bad_message'],
    ['a very long one', { PORT: '1', GREETING: 'x'.repeat(4097) }, 'bad_message'],
  ] as Array<[string, Record<string, string>, string]>)
    for (const [method, attempt] of Object.entries(attempts(values)))
      await t.rejects(attempt(), { code }, `${method}: ${what}`);
  t.throws(() => readFileSync(join(data, 'service')), { code: 'ENOENT' }, 'nothing was run');

  const GREETING = '$(touch mine) `id`; ${PORT} "\'\n --option';
  const values = { PORT: '1', GREETING };
  await controller.restart(built, { values });
  await controller.ask('step.once', { command: controller.command(), ...about, name: 'migrate', values });
  await controller.ask('check.smoke', { ...about, values, skip: [], onceOnly: true });
  const said = (place: string): { argv: string[]; env: Record<string, string> } =>
    JSON.parse(readFileSync(join(data, place), 'utf8'));
  await until(() => {
    try {
      return said('service').argv.length > 0;
    } catch {
      return false;
    }
  });
  t.strictSame(
    said('service').argv,
    ['service', GREETING, 'literal ${GREETING}'],
    'one element, nothing put in twice',
  );
  t.strictSame(said('migrate').argv, ['migrate', GREETING]);
  t.strictSame(said('smoke').argv, ['smoke', GREETING]);
  const { env } = said('service');
  t.match(env, { GREETING, LD_LIBRARY_PATH: '/its/own' });
  t.strictSame(
    Object.keys(env)
      // What the test runner gives to every program that is started under it.
      .filter((name) => name !== 'TZ' && name !== 'NODE_OPTIONS' && !name.startsWith('_TAPJS_'))
      .sort(),
    [
      ...[
        'FLEET_HOST',
        'FLEET_RUN',
        'FLEET_SERVICE',
        'FLEET_VERSION',
        'GREETING',
        'HOME',
        'LANG',
        'LD_LIBRARY_PATH',
        'PATH',
      ],
    ],
    'and nothing else',
  );
});

t.test('what a sealed fleet.yaml may not ask for', async (t) => {
  const sealed = (more: object) =>
    sealedService.safeParse({
      service: 'web',
      variables: { X: {} },
      run: { supervisor: 'process', command: ['web'] },
      ...more,
    });
  t.ok(sealed({}).success);
  for (const name of ['LD_PRELOAD', 'NODE_OPTIONS', 'PATH', 'GIT_SSH_COMMAND', 'HOME', 'GLIBC_TUNABLES']) {
    t.notOk(sealed({ variables: { [name]: {} } }).success, `the variable ${name}`);
    const given = sealed({
      run: { supervisor: 'process', command: ['web'], environment: { [name]: '${X}' } },
    });
    t.match(
      given.error?.issues,
      [{ path: ['run', 'environment', name], message: /would be code/ }],
      `${name} by a value`,
    );
    t.ok(
      sealed({ run: { supervisor: 'process', command: ['web'], environment: { [name]: 'own' } } }).success,
    );
  }
  t.ok(
    sealed({ run: { supervisor: 'process', command: ['web'], environment: { NODE_ENV: '${X}' } } }).success,
  );
});
