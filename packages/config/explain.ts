/** What a schema has against a value, in words for the person who wrote the file. */
import { z } from 'zod';
import { hint, nearest } from './names.ts';
import {
  branchesOf,
  fittingBranch,
  isMapping,
  keysOf,
  kindsOf,
  schemaAt,
  shapeOf,
  valueAt,
} from './shape.ts';

type Path = PropertyKey[];
/** Nobody reads more at once. */
const MOST = 100;
export interface Complaint {
  path: Path;
  /** Where to point: at the key itself, or at what stands behind it. */
  at: 'key' | 'value';
  message: string;
}

/** `written` gives a scalar as it stands in the file: 1.10 is read as the number 1.1, and people look for what they wrote. */
export function explain(
  schema: z.ZodType,
  value: unknown,
  written: (path: Path) => string | undefined,
): Complaint[] {
  const issues = schema.safeParse(value).error?.issues.slice(0, MOST) ?? [];
  const complaints = issues.flatMap((issue) => complain(issue, schema, value, written));
  // A misspelled key is one mistake: that the right one is missing follows from it.
  const meant = new Set<string>();
  for (const { code, path, keys } of issues as Array<{ code: string; path: Path; keys?: string[] }>)
    if (code === 'unrecognized_keys')
      for (const key of keys ?? []) {
        const name = nearest(key, Object.keys(keysOf(schemaAt(schema, value, path) ?? z.never())));
        if (name !== undefined) meant.add([...path, name].join('\0'));
      }
  return complaints.filter(({ path }) => valueAt(value, path) !== undefined || !meant.has(path.join('\0')));
}

function complain(
  issue: z.core.$ZodIssue,
  root: z.ZodType,
  whole: unknown,
  written: (path: Path) => string | undefined,
): Complaint[] {
  const { path } = issue;
  const value = valueAt(whole, path);
  const schema = schemaAt(root, whole, path);
  const say = (message: string): Complaint[] => [{ path, at: 'value', message }];

  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = Object.keys(keysOf(schema ?? z.never()));
      return issue.keys.map((key) => ({
        path: [...path, key],
        at: 'key' as const,
        message: `unknown key${hint(key, known)}`,
      }));
    }
    case 'invalid_key':
      return [{ path, at: 'key', message: issue.issues.map((inner) => inner.message).join('; ') }];
    case 'invalid_union': {
      if (issue.discriminator !== undefined) {
        const union = schemaAt(root, whole, path.slice(0, -1));
        const known = union instanceof z.ZodUnion ? kindsOf(union, issue.discriminator) : [];
        if (value === undefined) return say(`is missing: one of ${known.join(', ')}`);
        return say(`\`${String(value)}\` is none of ${known.join(', ')}${meantOne(value, known)}`);
      }
      const union = schema instanceof z.ZodUnion ? schema : undefined;
      const branch = union === undefined ? schema : fittingBranch(union, value);
      if (branch !== undefined)
        return explain(branch, value, (inner) => written([...path, ...inner])).map((complaint) => ({
          ...complaint,
          path: [...path, ...complaint.path],
        }));
      return say(wrongType(value, union, written(path)));
    }
    case 'invalid_type':
      return say(wrongType(value, schema, written(path)));
    case 'invalid_value': {
      const known = issue.values.map(String);
      if (value === undefined) return say(`is missing: ${oneOf(known)}`);
      return say(`must be ${oneOf(known)}, but is ${kindOf(value)}${meantOne(value, known)}`);
    }
    case 'too_small':
      if (issue.origin === 'array') return say(`needs at least ${issue.minimum} in the list`);
      if (issue.origin === 'string') return say('must not be empty');
      return say(`must be at least ${issue.minimum}, but is ${String(value)}`);
    case 'too_big':
      if (issue.origin === 'array') return say(`takes at most ${issue.maximum} in the list`);
      if (issue.origin === 'string') return say(`takes at most ${issue.maximum} characters`);
      return say(`must be at most ${issue.maximum}, but is ${String(value)}`);
    case 'invalid_format':
      return say(
        `${JSON.stringify(value)} does not fit${issue.message.startsWith('Invalid') ? '' : `: ${issue.message}`}`,
      );
    default:
      return say(issue.message);
  }
}

function wrongType(value: unknown, schema: z.ZodType | undefined, written: string | undefined): string {
  const shape = schema === undefined ? undefined : shapeOf(schema);
  if (value === undefined)
    return `is missing${shape?.description === undefined ? '' : `: ${shape.description}`}`;
  if (value === null)
    return `is empty: give it ${shape === undefined ? 'a value' : nameOf(shape.schema)}, or take the key out`;
  const scalar = typeof value === 'number' || typeof value === 'boolean';
  const is = scalar ? (written ?? String(value)) : kindOf(value);
  const must = `must be ${shape === undefined ? 'something else' : nameOf(shape.schema)}, but is ${is}`;
  const texts =
    shape === undefined ? [] : branchesOf(shape.schema).filter((one) => one instanceof z.ZodString);
  if (!scalar || texts[0] === undefined) return must;
  if (texts.some((text) => text.safeParse(is).success)) return `${must}: write it in quotes, "${is}"`;
  const form = texts[0].safeParse(is).error?.issues[0]?.message;
  return form === undefined ? must : `${must}: ${form}`;
}

function meantOne(value: unknown, known: string[]): string {
  const name = typeof value === 'string' ? nearest(value, known) : undefined;
  return name === undefined ? '' : `, did you mean \`${name}\`?`;
}

function oneOf(known: string[]): string {
  return known.length === 1 ? `\`${known[0]}\`` : `one of ${known.join(', ')}`;
}

/** What a schema takes, in plain words. */
export function nameOf(given: z.core.$ZodType): string {
  const { schema } = shapeOf(given);
  if (schema instanceof z.ZodUnion) return [...new Set(branchesOf(schema).map(nameOf))].join(' or ');
  if (schema instanceof z.ZodString) return 'text';
  if (schema instanceof z.ZodNumber) return schema.format === 'safeint' ? 'a whole number' : 'a number';
  if (schema instanceof z.ZodBoolean) return 'true or false';
  if (schema instanceof z.ZodArray) return 'a list';
  if (schema instanceof z.ZodLiteral) return [...schema.values].map((value) => `\`${value}\``).join(' or ');
  if (schema instanceof z.ZodEnum) return oneOf(schema.options.map(String));
  if (schema instanceof z.ZodRecord) return 'lines of `name: value`';
  if (schema instanceof z.ZodObject) {
    const required = Object.keys(schema.shape).filter((key) => !shapeOf(schema.shape[key]!).optional);
    return `keys and values${required.length === 0 ? '' : ` (\`${required.join('`, `')}\`)`}`;
  }
  return 'something else';
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (isMapping(value)) return 'keys and values';
  if (typeof value === 'string') return `the text ${JSON.stringify(value.slice(0, 60))}`;
  return `the ${typeof value === 'number' ? 'number' : 'value'} ${String(value)}`;
}
