import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runFleet } from '../fleetProgram.ts';

t.test('what init writes is right as it stands', async (t) => {
  const cwd = t.testdir();
  const { status, stdout } = await runFleet(['init', '--name', 'segmenter'], { cwd });
  t.equal(
    stdout,
    `wrote fleet.yaml
wrote controller.yaml
wrote agent.yaml
next: fill them in, then
  fleet config check
  fleet controller --config controller.yaml
  fleet agent --config agent.yaml
  fleet deploy segmenter
`,
  );
  t.equal(status, 0);
  const written = readFileSync(join(cwd, 'fleet.yaml'), 'utf8');
  t.match(written, /^service: segmenter$/m);
  t.match(written, /exclude: .controller.yaml, agent.yaml/, 'what stands beside it is not packed');
  t.match(await runFleet(['config', 'check'], { cwd }), {
    status: 0,
    stdout: 'nothing is wrong with fleet.yaml, controller.yaml, agent.yaml\n',
    stderr: '',
  });
});

t.test('init writes nothing over', async (t) => {
  const cwd = t.testdir({ 'fleet.yaml': 'mine' });
  t.match(await runFleet(['init', 'service'], { cwd }), {
    status: 2,
    stderr: /fleet\.yaml is there already.*\nerror: nothing was written/,
  });
  t.match(await runFleet(['init'], { cwd }), {
    status: 0,
    stdout: /^wrote controller\.yaml\nwrote agent\.yaml\n/,
  });
  t.equal(readFileSync(join(cwd, 'fleet.yaml'), 'utf8'), 'mine');
  t.match(await runFleet(['init', 'service', '--name', 'Not A Name'], { cwd }), {
    status: 2,
    stderr: /a service is named like/,
  });
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
