import { service as schema } from '@fleet/protocol/service.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import t from 'tap';
import { valuesFor } from './values.ts';

const VALUE = 'postgres://u:p@db/x';
const serviceOf = (more: object) =>
  schema.parse({
    service: 'web',
    variables: { DATABASE_URL: {} },
    run: { supervisor: 'process', command: ['web'] },
    ...more,
  });
const sent = (value = VALUE) => ({ values: { DATABASE_URL: value }, secrets: ['DATABASE_URL'] });

t.test('a secret that anybody on the host could read is refused, whoever sends it', async (t) => {
  const run = (more: object) => ({ run: { supervisor: 'process', command: ['web'], ...more } });
  const element = '${DATABASE_URL}';
  for (const [where, more] of Object.entries({
    'run.command.1': run({ command: ['web', element] }),
    'run.environment.TMPDIR': run({ environment: { TMPDIR: element } }),
    'hooks.after_start.command.0': { hooks: { after_start: { command: [element] } } },
    'once.0.command.1': { once: [{ name: 'migrate', command: ['m', element] }] },
    'smoke.0.contains': { smoke: [{ name: 'answers', kind: 'http', port: 80, contains: element }] },
  })) {
    const take = () => valuesFor(serviceOf(more), '1.0.0', sent(), new KnownSecrets());
    t.throws(take, { code: 'secret_refused', message: `stands in fleet.yaml at ${where}:` }, where);
    const plain = { values: { DATABASE_URL: VALUE } };
    t.doesNotThrow(() => valuesFor(serviceOf(more), '1.0.0', plain, new KnownSecrets()), where);
  }
});

t.test('one that is given to a program by its environment is known from then on', async (t) => {
  const known = new KnownSecrets();
  const environment = { URL: '${DATABASE_URL}' };
  const service = serviceOf({ run: { supervisor: 'process', command: ['web'], environment } });
  t.match(valuesFor(service, '1.0.0', sent(), known), { secrets: ['DATABASE_URL'] });
  t.equal(known.text(`<${VALUE}>`), '<[secret DATABASE_URL]>');
  const error = known.error(new Error(`cannot reach ${VALUE}`));
  t.equal(error.message, 'cannot reach [secret DATABASE_URL]');
  t.throws(() => valuesFor(service, '1.0.0', sent('12345'), known), { code: 'secret_refused' });
});

t.test('what is declared as a secret is one, however it is sent', async (t) => {
  const known = new KnownSecrets();
  const service = serviceOf({ variables: { DATABASE_URL: { secret: true } } });
  const { secrets } = valuesFor(service, '1.0.0', { values: { DATABASE_URL: VALUE } }, known);
  t.strictSame(secrets, ['DATABASE_URL']);
  t.equal(known.text(VALUE), '[secret DATABASE_URL]');
  const element = '${DATABASE_URL}';
  const exposed = { run: { supervisor: 'process', command: [element] }, variables: service.variables };
  t.throws(() => serviceOf(exposed), /DATABASE_URL is a secret/, 'no such version is built');
  const fallback = { variables: { DATABASE_URL: { secret: true, default: VALUE } } };
  t.throws(() => serviceOf(fallback), /a secret has no default/);
});
