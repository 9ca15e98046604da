/** The templates, the reference and the JSON Schema: all three are of the same schemas, and complete. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { z } from 'zod';
import { checkController } from './check.ts';
import { FILES, type FileName } from './files.ts';
import { inspectText, tellProblem } from './load.ts';
import { reference } from './reference.ts';
import { jsonSchema } from './schema.ts';
import { branchesOf, shapeOf } from './shape.ts';
import { template } from './template.ts';

const NAMES = Object.keys(FILES) as FileName[];

/** Every key that a schema has anywhere, with the mapping it is in. */
function keysIn(given: z.core.$ZodType): string[] {
  const { schema } = shapeOf(given);
  if (schema instanceof z.ZodObject)
    return Object.entries(schema.shape).flatMap(([key, value]) => [key, ...keysIn(value)]);
  if (schema instanceof z.ZodRecord) return keysIn(schema.valueType);
  if (schema instanceof z.ZodArray) return keysIn(schema.element);
  return schema instanceof z.ZodUnion ? branchesOf(schema).flatMap(keysIn) : [];
}

/** What a person does who wants a setting: takes the # away. */
function switchedOn(text: string): string {
  return text.replace(/^(\s*)#(?=[\w-])/gm, '$1').replace(/^(\s*)#(- )/gm, '$1$2');
}

for (const name of NAMES)
  t.test(name, async (t) => {
    const text = await template(name);
    const on = switchedOn(text);
    t.not(on, text);
    for (const [what, one] of Object.entries({ 'as it is': text, 'with everything switched on': on }))
      t.strictSame(inspectText(one, FILES[name], name).problems.map(tellProblem), [], `the template ${what}`);
    const keys = [...new Set(keysIn(FILES[name]))];
    t.ok(keys.length > 4);
    const page = reference(name);
    for (const key of keys) {
      t.match(text, new RegExp(`(^|[\\s{#-])${key}:( |$)`, 'm'), `the template has ${key}`);
      t.ok(page.includes(`| \`${key}\` |`), `the reference has ${key}`);
    }
    t.notMatch(page, /undefined|something else|\[object/);

    const schema = jsonSchema(name);
    t.strictSame(JSON.parse(JSON.stringify(schema)), schema, 'nothing but JSON');
    t.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
    t.strictSame(Object.keys(schema.properties as object), Object.keys(FILES[name].shape));
    walk(schema, (node) => {
      if (typeof node.$ref === 'string')
        t.ok(
          node.$ref
            .split('/')
            .slice(1)
            .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], schema),
          node.$ref,
        );
      if (typeof node.pattern === 'string')
        t.doesNotThrow(() => new RegExp(node.pattern as string, 'u'), node.pattern);
      if (node.type === 'object' && node.properties !== undefined)
        t.equal(node.additionalProperties, false, 'editors mark unknown keys');
    });
  });

t.test('templates for a service of a name', async (t) => {
  const dir = t.testdir({
    'fleet.yaml': await template('fleet.yaml', 'shop'),
    'controller.yaml': await template('controller.yaml', 'shop'),
  });
  const { config, problems } = await checkController(join(dir, 'controller.yaml'));
  t.strictSame(problems, [], 'both together are a fleet');
  t.strictSame(Object.keys(config!.services), ['shop']);
  for (const name of ['fleet.yaml', 'controller.yaml'] as const)
    await writeFile(join(dir, name), switchedOn(await template(name, 'shop')));
  t.strictSame((await checkController(join(dir, 'controller.yaml'))).problems.map(tellProblem), []);
  await t.rejects(template('fleet.yaml', 'No Service'));
});

t.test('required keys are required in the JSON Schema, those with defaults are not', async (t) => {
  t.strictSame(jsonSchema('fleet.yaml').required, ['service', 'run']);
  t.strictSame(jsonSchema('agent.yaml').required ?? [], [], 'a host that has joined knows who it is');
});

function walk(node: unknown, visit: (node: Record<string, unknown>) => void): void {
  if (typeof node !== 'object' || node === null) return;
  if (!Array.isArray(node)) visit(node as Record<string, unknown>);
  for (const inner of Object.values(node)) walk(inner, visit);
}
