import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runFleet } from '../fleetProgram.ts';

/** A home of its own: nobody's real login is touched. */
const at = (cwd: string) => ({ cwd, environment: { HOME: cwd } });

t.test('what init writes is right as it stands, and its keys are nobody else’s', async (t) => {
  const cwd = t.testdir();
  const { status, stdout } = await runFleet(['init', '--name', 'segmenter'], at(cwd));
  t.equal(status, 0);
  t.match(
    stdout,
    /^wrote fleet\.yaml\nwrote controller\.yaml\nwrote agent\.yaml\nmade this fleet’s keys in /,
  );
  for (const said of [
    /level L0/,
    /fleet-root\.key\n.*Take it offline now/,
    /logged in at https:\/\/127\.0\.0\.1:7300 as \S+, admin/,
    /next: fill them in, then\n {2}fleet config check\n {2}fleet controller --config controller\.yaml\n {2}fleet token create/,
  ])
    t.match(stdout, said);
  const written = readFileSync(join(cwd, 'fleet.yaml'), 'utf8');
  t.match(written, /^service: segmenter$/m);
  t.match(
    written,
    /exclude: .controller.yaml, agent.yaml, fleet-root.key, fleet-data/,
    'what stands beside it is not packed, and keys least of all',
  );
  const mode = (path: string) => (statSync(join(cwd, path)).mode & 0o777).toString(8);
  t.strictSame([mode('fleet-data'), mode('fleet-data/trust'), mode('fleet-root.key')], ['700', '700', '600']);
  for (const name of readdirSync(join(cwd, 'fleet-data/trust')))
    t.equal(mode(`fleet-data/trust/${name}`), '600', name);
  t.equal(mode('.config/fleet/login.json'), '600');
  t.match(await runFleet(['config', 'check'], { cwd }), {
    status: 0,
    stdout: 'nothing is wrong with fleet.yaml, controller.yaml, agent.yaml\n',
    stderr: '',
  });
});

t.test('init writes nothing over, keys least of all', async (t) => {
  const cwd = t.testdir({ 'fleet.yaml': 'mine' });
  t.match(await runFleet(['init', 'service'], at(cwd)), {
    status: 2,
    stderr: /fleet\.yaml is there already.*\nerror: nothing was written/,
  });
  t.match(await runFleet(['init'], at(cwd)), {
    status: 0,
    stdout: /^wrote controller\.yaml\nwrote agent\.yaml\n/,
  });
  t.equal(readFileSync(join(cwd, 'fleet.yaml'), 'utf8'), 'mine');
  const root = readFileSync(join(cwd, 'fleet-root.key'), 'utf8');
  t.match(await runFleet(['init', 'controller'], at(cwd)), { status: 2, stderr: /has its keys already/ });
  rmSync(join(cwd, 'fleet-data'), { recursive: true });
  t.match(
    await runFleet(['init', 'controller'], at(cwd)),
    { status: 2, stderr: /fleet-root\.key is there already/ },
    'the root key of a fleet that lost its data is still its root key',
  );
  t.equal(readFileSync(join(cwd, 'fleet-root.key'), 'utf8'), root);
  t.match(await runFleet(['init', 'service', '--name', 'Not A Name'], { cwd }), {
    status: 2,
    stderr: /a service is named like/,
  });
});

t.test('a second fleet of one person does not take the first one’s login away', async (t) => {
  const cwd = t.testdir();
  const home = { HOME: cwd };
  await runFleet(['init', 'controller'], { cwd, environment: home });
  const login = readFileSync(join(cwd, '.config/fleet/login.json'), 'utf8');
  writeFileSync(join(cwd, 'other.yaml'), 'data: ./other\nservices: {}\nenvironments: {}\n');
  rmSync(join(cwd, 'fleet-root.key'));
  t.match(await runFleet(['init', 'controller', '--config', 'other.yaml'], { cwd, environment: home }), {
    status: 0,
    stdout: /fleet login 'fleet1\./,
    stderr: /is a login that is there already, and stays/,
  });
  t.equal(readFileSync(join(cwd, '.config/fleet/login.json'), 'utf8'), login);
});

t.test('where nobody can log in any more, the controller’s own machine makes a new admin', async (t) => {
  const cwd = t.testdir();
  const login = join(cwd, '.config/fleet/login.json');
  await runFleet(['init', 'controller', '--login', 'ann'], at(cwd));
  const first = readFileSync(login, 'utf8');
  rmSync(login);
  t.match(await runFleet(['init', 'controller', '--login', 'ann'], at(cwd)), {
    status: 2,
    stderr: /ann has a token already/,
  });
  t.match(await runFleet(['init', 'controller', '--login', 'Ann B'], at(cwd)), { status: 2 });
  t.match(await runFleet(['init', 'controller', '--login', 'ann@desk'], at(cwd)), {
    status: 0,
    stdout: /logged in at .* as ann@desk, admin/,
    stderr: /has its keys already, and they stay as they are/,
  });
  const { token, ...same } = JSON.parse(readFileSync(login, 'utf8')) as { token: string };
  const { token: former, ...before } = JSON.parse(first) as { token: string };
  t.strictSame(same, before, 'of the same fleet');
  t.not(token, former);
});

t.test('config check tells every mistake with its place', async (t) => {
  const cwd = t.testdir();
  t.match(await runFleet(['config', 'check'], { cwd }), { status: 2, stderr: /next: .*fleet init/ });
  writeFileSync(join(cwd, 'agent-a.yaml'), 'host: a\nlables: {}\n');
  t.match(await runFleet(['config', 'check', 'agent-a.yaml'], { cwd }), {
    status: 2,
    stdout: '',
    stderr: /agent-a\.yaml:2:1: .*labels/,
  });
  const { status, stdout } = await runFleet(['config', 'check', 'agent-a.yaml', '--json'], { cwd });
  t.match(JSON.parse(stdout), { problems: [{ file: 'agent-a.yaml', line: 2, column: 1 }], notes: [] });
  t.equal(status, 2);
});

t.test('config schema', async (t) => {
  for (const name of ['fleet.yaml', 'controller.yaml', 'agent.yaml']) {
    const { status, stdout } = await runFleet(['config', 'schema', name]);
    t.match(JSON.parse(stdout), { title: name, type: 'object', properties: Object });
    t.equal(status, 0);
  }
});
