/** Looking at a schema instead of running it: what is behind optional and default, which keys there are, which branch fits. */
import { z } from 'zod';

export interface Shape {
  /** The schema without its wrappers, as a file has it (before transforms). */
  schema: z.ZodType;
  optional: boolean;
  /** As it would be written in the file; undefined where there is none. */
  fallback: unknown;
  description: string | undefined;
}

export function shapeOf(given: z.core.$ZodType): Shape {
  let schema = given as z.ZodType;
  const shape: Shape = { schema, optional: false, fallback: undefined, description: undefined };
  for (;;) {
    shape.description ??= schema.description;
    shape.schema = schema;
    if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
      shape.optional = true;
      shape.fallback ??= schema.def.defaultValue;
      schema = schema.unwrap() as z.ZodType;
    } else if (schema instanceof z.ZodOptional) {
      shape.optional = true;
      schema = schema.unwrap() as z.ZodType;
    } else if (schema instanceof z.ZodPipe) schema = schema.in as z.ZodType;
    else return shape;
  }
}

/** The branches of a union, without wrappers; any other schema is its own only branch. */
export function branchesOf(schema: z.ZodType): z.ZodType[] {
  return schema instanceof z.ZodUnion
    ? schema.options.flatMap((option) => branchesOf(shapeOf(option).schema))
    : [schema];
}

/** The branch of a union that a value was meant for: by its discriminator, else the one with the least to complain about. */
export function fittingBranch(union: z.ZodUnion, value: unknown): z.ZodType | undefined {
  const branches = branchesOf(union);
  if (union instanceof z.ZodDiscriminatedUnion) {
    const name = union.def.discriminator;
    const kind = isMapping(value) ? value[name] : undefined;
    return branches.find((branch) => shapeOf(keysOf(branch)[name]!).schema.safeParse(kind).success);
  }
  let best: { branch: z.ZodType; score: number } | undefined;
  for (const branch of branches) {
    const issues = branch.safeParse(value).error?.issues ?? [];
    const alien = issues.some(
      ({ code, path }) => path.length === 0 && (code === 'invalid_type' || code === 'invalid_value'),
    );
    if (alien) continue;
    const score = issues.reduce(
      (sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1),
      0,
    );
    if (best === undefined || score < best.score) best = { branch, score };
  }
  return best?.branch;
}

/** The values that a discriminator may have. */
export function kindsOf(union: z.ZodUnion, discriminator: string): string[] {
  return branchesOf(union).flatMap((branch) => {
    const { schema } = shapeOf(keysOf(branch)[discriminator]!);
    return schema instanceof z.ZodLiteral ? [...schema.values].map(String) : [];
  });
}

/** The keys that a mapping may have, with their schemas; none for anything else. */
export function keysOf(schema: z.core.$ZodType): Record<string, z.ZodType> {
  const bare = shapeOf(schema).schema;
  return bare instanceof z.ZodObject ? (bare.shape as Record<string, z.ZodType>) : {};
}

/** The schema that holds at a path of a value, or undefined where no schema speaks of it. */
export function schemaAt(
  root: z.core.$ZodType,
  value: unknown,
  path: readonly PropertyKey[],
): z.ZodType | undefined {
  let schema: z.ZodType | undefined = shapeOf(root).schema;
  if (schema instanceof z.ZodUnion) {
    const branch = fittingBranch(schema, value);
    return branch === undefined ? (path.length === 0 ? schema : undefined) : schemaAt(branch, value, path);
  }
  const [key, ...rest] = path;
  if (key === undefined) return schema;
  if (schema instanceof z.ZodRecord) schema = schema.valueType as z.ZodType;
  else if (schema instanceof z.ZodArray) schema = schema.element as z.ZodType;
  else schema = keysOf(schema)[String(key)];
  return schema === undefined ? undefined : schemaAt(schema, valueAt(value, [key]), rest);
}

export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return at;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The form that a text must have, in the schema's own words: `a duration is written like 500ms, 30s, 5m or 1h`. */
export function formOf(schema: z.ZodType): string | undefined {
  const message = schema.safeParse('\0').error?.issues[0]?.message;
  return message === undefined || message.startsWith('Invalid') || message.startsWith('Too')
    ? undefined
    : message;
}
