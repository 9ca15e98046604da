import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FleetError } from '@fleet/protocol/errors.ts';
import { service } from '@fleet/protocol/service.ts';
import t from 'tap';
import type { z } from 'zod';
import { agentConfig } from './agent.ts';
import { controllerConfig } from './controller.ts';
import { inspectText, loadYaml, tellProblem } from './load.ts';
import { hint, nearest } from './names.ts';

/** Everything that is wrong with a text, without the file's name. */
function wrong(schema: z.ZodType, text: string): string[] {
  return inspectText(text, schema, 'f').problems.map((problem) => tellProblem(problem).slice(2));
}

const CONTROLLER = `services:
  web: { source: { directory: . } }
environments:
  production:
    services:
      web:
        hosts: { role: web, shard: 3 }
`;
const SERVICE = `service: web
run:
  supervisor: process
  command: [node, server.js]
`;

t.test('what is right comes with defaults, and as it was written', async (t) => {
  const { value, raw, problems } = inspectText(CONTROLLER, controllerConfig, 'f');
  t.strictSame(problems, []);
  const placement = value!.environments.production!.services.web!;
  t.strictSame(placement.hosts, { role: 'web', shard: '3' }, 'a whole number is fine as a label');
  t.match(placement.strategy, { batch: ['1'], drain: 30_000 });
  t.strictSame((raw as { services: unknown }).services, { web: { source: { directory: '.' } } });
  const more = `${CONTROLLER}        balancer: none\n        strategy: { batch: [1, 20%] }\n        values: { PORT: 80 }\n`;
  t.match(inspectText(more, controllerConfig, 'f').value!.environments.production!.services.web, {
    balancer: undefined,
    strategy: { batch: ['1', '20%'] },
    values: { PORT: '80' },
  });
});

t.test('one mistake, one line with its place', async (t) => {
  const under = (key: string) => `environments.production.services.web.${key}`;
  const added: Array<[line: string, says: string]> = [
    ['strateg: {}', `8:9: ${under('strateg')}: unknown key, did you mean \`strategy\`?`],
    [
      'strategy: { wibble: 1 }',
      `8:21: ${under('strategy.wibble')}: unknown key; there are batch, min_visible, drain, on_drain_timeout, unhide, settle, patience, on_failure, stage_parallel`,
    ],
    ['strategy:', `8:9: ${under('strategy')}: is empty: give it keys and values, or take the key out`],
    ['strategy: 5', `8:19: ${under('strategy')}: must be keys and values, but is 5`],
    [
      'strategy: { drain: 30 }',
      `8:28: ${under('strategy.drain')}: must be text, but is 30: a duration is written like 500ms, 30s, 5m or 1h`,
    ],
    [
      'strategy: { drain: 30 s }',
      `8:28: ${under('strategy.drain')}: "30 s" does not fit: a duration is written like 500ms, 30s, 5m or 1h`,
    ],
    [
      'strategy: { min_visible: -1 }',
      `8:34: ${under('strategy.min_visible')}: must be at least 0, but is -1`,
    ],
    [
      'strategy: { min_visible: 1.5 }',
      `8:34: ${under('strategy.min_visible')}: must be a whole number, but is 1.5`,
    ],
    ['strategy: { batch: [] }', `8:21: ${under('strategy.batch')}: needs at least 1 in the list`],
    ['strategy: { batch: 1 }', `8:28: ${under('strategy.batch')}: must be a list, but is 1`],
    [
      'strategy: { on_failure: rollback }',
      `8:33: ${under('strategy.on_failure')}: must be one of rollback_host, rollback_all, stop, but is the text "rollback"`,
    ],
    [
      'values: { A: 1.10 }',
      `8:22: ${under('values.A')}: must be text or a whole number or keys and values (\`label\`) or keys and values (\`secret\`), but is 1.10: write it in quotes, "1.10"`,
    ],
    [
      'values: { A: [] }',
      `8:19: ${under('values.A')}: must be text or a whole number or keys and values (\`label\`) or keys and values (\`secret\`), but is a list`,
    ],
    [
      'values: { A: { lable: port } }',
      `8:24: ${under('values.A.lable')}: unknown key, did you mean \`label\`?`,
    ],
    ['values: { port: 1 }', `8:19: ${under('values.port')}: a variable is named like PORT or LOG_LEVEL`],
    [
      'values: { NODE_OPTIONS: x }',
      `8:19: ${under('values.NODE_OPTIONS')}: a loader variable cannot be declared: it would be code`,
    ],
    [
      'balancer: off',
      `8:19: ${under('balancer')}: must be keys and values (\`name\`, \`backend\`) or \`none\`, but is the text "off"`,
    ],
    ['balancer: { backend: b }', `8:9: ${under('balancer.name')}: is missing: One of \`balancers\``],
  ];
  for (const [line, says] of added)
    t.strictSame(wrong(controllerConfig, `${CONTROLLER}        ${line}\n`), [says], line);
});

t.test('unions speak of the branch that was meant', async (t) => {
  const smoke = (check: string) => wrong(service, `${SERVICE}smoke:\n  - ${check}\n`);
  t.strictSame(smoke('{ name: a, kind: http, port: 80, paht: / }'), [
    '6:38: smoke[0].paht: unknown key, did you mean `path`?',
  ]);
  t.strictSame(smoke('{ name: a, kind: htpp, port: 80 }'), [
    '6:22: smoke[0].kind: `htpp` is none of http, tcp, command, did you mean `http`?',
  ]);
  t.strictSame(smoke('{ name: a, port: 80 }'), ['6:5: smoke[0].kind: is missing: one of http, tcp, command']);
  t.strictSame(smoke('{ name: a, kind: tcp, port: PORT }'), [
    '6:33: smoke[0].port: "PORT" does not fit: a port number or ${PORT}',
  ]);
  t.strictSame(smoke('{ name: a, kind: tcp, port: 70000 }'), [
    '6:33: smoke[0].port: must be at most 65535, but is 70000',
  ]);
  const source = (of: string) => wrong(controllerConfig, CONTROLLER.replace('{ directory: . }', of));
  t.strictSame(source('{ gti: x, ref: main }'), [
    '2:20: services.web.source.gti: unknown key, did you mean `git`?',
  ]);
  t.strictSame(source('{ git: x, ref: -f }'), [
    '2:33: services.web.source.ref: "-f" does not fit: a ref is a branch, tag or commit, like main, v1.4.2, rc/2026-11',
  ]);
  t.strictSame(source('git@host:x.git'), [
    '2:18: services.web.source: must be keys and values (`git`) or keys and values (`directory`), but is the text "git@host:x.git"',
  ]);
});

t.test('fleet’s own programs are looked after by the agent, and nothing else is', async (t) => {
  const said = /agent is what looks after fleet-agent and fleet-node, and after nothing else/;
  t.match(wrong(service, 'service: web\nrun: { supervisor: agent }\n').join('\n'), said);
  t.match(wrong(service, SERVICE.replace('web', 'fleet-agent')).join('\n'), said);
  for (const own of ['fleet-agent', 'fleet-node'])
    t.strictSame(wrong(service, `service: ${own}\nrun: { supervisor: agent }\n`), []);
});

t.test('several mistakes are told at once, in the file’s order', async (t) => {
  t.strictSame(wrong(agentConfig, 'labels: { Port: 1, a: yes please }\nhosst: web-1\nroot: ""\n'), [
    '1:11: labels.Port: a label is named like role or port',
    '1:23: labels.a: "yes please" does not fit: a label value is a plain word',
    '2:1: hosst: unknown key, did you mean `host`?',
    '3:7: root: must not be empty',
  ]);
});

t.test('text that is no YAML, or means harm', async (t) => {
  const says = (text: string) => wrong(agentConfig, text).join('\n');
  t.equal(says('host: a\nhost: b\n'), '2:1: the key `host` is there twice');
  t.match(says('host: [a\n'), /^\d:\d: .*\]/);
  t.match(says('host: a\n\troot: b\n'), /^2:/);
  t.match(says('host: a\n---\nhost: b\n'), /^2:1: .*documents/);
  t.match(says('host: !!js/function x\n'), /^1:7: .*tag/);
  t.match(says('host: *nowhere\n'), /^1:7: `\*nowhere`/);
  for (const empty of ['', '# nothing\n', '\n']) t.equal(says(empty), '1:1: the file is empty');
  t.match(says('just text'), /^1:1: must be keys and values/);
  t.match(says('- a'), /^1:1: must be keys and values, but is a list/);
  t.match(says('__proto__: { host: a }\nhost: b\n'), /^1:1: __proto__: unknown key/);
  t.match(says('host: a\nconstructor: 1\n'), /^2:1: constructor: unknown key/);
  const bomb = [
    'a0: &a0 [x]',
    ...Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`),
  ];
  t.match(says(bomb.join('\n')), /too many aliases/);
  t.match(says(`a: &a x\nb: [${'*a,'.repeat(100_000)}]`), /too many aliases/);
  t.match(says(`host: ${'['.repeat(50_000)}`), /^1:/);
  t.strictSame(wrong(agentConfig, 'host: &name a\nlabels: { role: *name }\n'), [], 'a plain alias is fine');
});

t.test('a file', async (t) => {
  const dir = t.testdir({ 'agent.yaml': 'host: web-1\nrooot: /srv\n', 'good.yaml': '\ufeffhost: web-1\n' });
  const refused = async (path: string, shownAs?: string) =>
    (await loadYaml(path, agentConfig, shownAs).catch((error: unknown) => error)) as FleetError;
  const path = join(dir, 'agent.yaml');
  t.match(await refused(path), {
    code: 'bad_config',
    message: `${path}:2:1: rooot: unknown key, did you mean \`root\`?`,
    data: { problems: [{ file: path, line: 2, column: 1, path: 'rooot' }] },
  });
  t.match((await refused(path, 'web@abc:agent.yaml')).message, /^web@abc:agent.yaml:2:1: /);
  t.equal(
    (await loadYaml(join(dir, 'good.yaml'), agentConfig)).value.host,
    'web-1',
    'with a byte order mark',
  );
  t.match(await refused(join(dir, 'none.yaml')), {
    code: 'bad_config',
    message: /no such file/,
    next: /fleet init/,
  });
  await mkdir(join(dir, 'folder.yaml'));
  t.match(await refused(join(dir, 'folder.yaml')), { code: 'bad_config', message: /folder/ });
  await writeFile(path, Buffer.from([0x68, 0xff, 0xfe]));
  t.match(await refused(path), { code: 'bad_config', message: /UTF-8/ });
  await writeFile(path, `#${'x'.repeat(1024 * 1024)}`);
  t.match(await refused(path), { code: 'bad_config', message: /larger/ });
});

t.test('the name that was meant', async (t) => {
  const known = ['strategy', 'hosts', 'balancer', 'ref'];
  t.equal(nearest('strateyg', known), 'strategy', 'two letters in the wrong order');
  t.equal(nearest('Hosts', known), 'hosts');
  t.equal(nearest('rfe', known), 'ref');
  t.equal(nearest('xyz', known), undefined);
  t.equal(hint('x', []), '');
  t.equal(hint('zzzzzzz', ['a']), '; there is a');
});
