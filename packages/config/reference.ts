/** A page of documentation from a file's schema: every key, its type, default and meaning. */
import { duration } from '@fleet/protocol/words.ts';
import { z } from 'zod';
import { nameOf } from './explain.ts';
import { FILES, type FileName } from './files.ts';
import { branchesOf, formOf, kindsOf, shapeOf } from './shape.ts';

const ABOUT: Record<FileName, string> = {
  'fleet.yaml':
    'How a service is built, packed, run and checked. It lies in the service’s repository, at the top or in the folder that `directory` names, and is sealed into every version. Durations are written like `500ms`, `30s`, `5m` or `1h`; `${NAME}` alone stands for the value of a declared variable.',
  'controller.yaml':
    'Which services there are and where they come from, which environments, hosts and balancers. It stays with the controller. Durations are written like `500ms`, `30s`, `5m` or `1h`.',
  'agent.yaml':
    'Who a host is and where its releases go. It lies on the host, and the controller cannot change it.',
};

/** Markdown. */
export function reference(name: FileName): string {
  const page = { sections: [] as string[], told: new Map<z.ZodType, string>() };
  describe(FILES[name], '', page);
  return `${[`# ${name}`, ABOUT[name], ...page.sections].join('\n\n')}\n`;
}

interface Page {
  sections: string[];
  /** Mappings that have their table already, and under which name. */
  told: Map<z.ZodType, string>;
}

/** One table a mapping; what is nested follows in sections of its own, in the order of the keys. */
function describe(given: z.core.$ZodType, path: string, page: Page): void {
  const { schema, description } = shapeOf(given);
  if (schema instanceof z.ZodObject) {
    if (path !== '') page.sections.push(`## \`${path}\``);
    if (description !== undefined) page.sections.push(sentence(description));
    const before = page.told.get(schema);
    if (before !== undefined) {
      page.sections.push(`The same keys as \`${before}\`.`);
      return;
    }
    page.told.set(schema, path);
    page.sections.push(tableOf(schema));
    for (const [key, value] of Object.entries(schema.shape))
      describe(value, path === '' ? key : `${path}.${key}`, page);
  } else if (schema instanceof z.ZodRecord) describe(schema.valueType, `${path}.NAME`, page);
  else if (schema instanceof z.ZodArray) describe(schema.element, `${path}[]`, page);
  else if (schema instanceof z.ZodUnion)
    for (const branch of branchesOf(schema)) describe(branch, `${path}${kindOf(schema, branch)}`, page);
}

function kindOf(union: z.ZodUnion, branch: z.ZodType): string {
  if (!(union instanceof z.ZodDiscriminatedUnion)) return '';
  const name = union.def.discriminator;
  return ` (${name}: ${kindsOf(union, name)[branchesOf(union).indexOf(branch)]})`;
}

function tableOf(schema: z.ZodObject): string {
  const rows = Object.entries(schema.shape).map(([key, value]) => {
    const { schema: bare, optional, fallback, description } = shapeOf(value);
    const form = isDuration(bare) ? undefined : formOf(bare);
    const meaning = [description, form].filter((text) => text !== undefined).map(sentence);
    return [`\`${key}\``, typeOf(bare), optional ? spell(fallback) : '**required**', meaning.join(' ')];
  });
  const lines = [['Key', 'Type', 'Default', 'Meaning'], ['---', '---', '---', '---'], ...rows];
  return lines
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

function typeOf(given: z.core.$ZodType): string {
  const { schema } = shapeOf(given);
  if (schema instanceof z.ZodUnion) return [...new Set(branchesOf(schema).map(typeOf))].join(' or ');
  if (schema instanceof z.ZodObject) return 'keys, see below';
  if (schema instanceof z.ZodArray) return `list of ${typeOf(schema.element)}`;
  if (schema instanceof z.ZodRecord) return `names with ${typeOf(schema.valueType)}`;
  if (isDuration(schema)) return 'duration';
  const { minValue, maxValue } =
    schema instanceof z.ZodNumber ? schema : { minValue: undefined, maxValue: undefined };
  const bounded = maxValue != null && maxValue < Number.MAX_SAFE_INTEGER;
  return bounded ? `${nameOf(schema)}, ${minValue} to ${maxValue}` : nameOf(schema);
}

function isDuration(schema: z.ZodType): boolean {
  return formOf(schema) === formOf(duration);
}

function spell(fallback: unknown): string {
  if (fallback === undefined) return '';
  if (typeof fallback === 'object' && fallback !== null && Object.keys(fallback).length === 0) return 'none';
  return `\`${typeof fallback === 'string' ? fallback : JSON.stringify(fallback)}\``;
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? '' : '.'}`;
}
