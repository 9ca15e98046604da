/** The places in a form where text goes, taken from the very schema that decodes it. */
import { z } from 'zod';

export interface Form {
  type?: string;
  properties?: Record<string, Form>;
  items?: Form;
  additionalProperties?: Form | boolean;
  propertyNames?: Form;
  anyOf?: Form[];
  oneOf?: Form[];
  allOf?: Form[];
  enum?: unknown[];
  const?: unknown;
  required?: string[];
  minimum?: number;
  maxLength?: number;
  pattern?: string;
  default?: unknown;
}

/** A step down: a key, an element of a list (0), or the key itself of a record. */
export type Step = string | 0 | { key: true };

/** Paths to every text of the form, and to every key that may be chosen freely. */
export function textsOf(schema: z.ZodType): Step[][] {
  return texts(formOf(schema)).filter((path, at, all) => all.findIndex((each) => same(each, path)) === at);
}

/** Something that the form takes; `known` gives what means something, by the name of the field. */
export function sampleOf(schema: z.ZodType, known: Readonly<Record<string, unknown>>): unknown {
  return sample(formOf(schema), '', known);
}

/** A copy with `text` at that place, which is made where it is not there. */
export function withText(value: unknown, path: readonly Step[], text: string): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return text;
  if (step === 0) return [withText((value as unknown[] | undefined)?.[0], rest, text)];
  if (typeof step === 'object') return Object.fromEntries([[text, 'x']]);
  const before = (value ?? {}) as Record<string, unknown>;
  return { ...before, [step]: withText(Object.hasOwn(before, step) ? before[step] : undefined, rest, text) };
}

export function namePath(path: readonly Step[]): string {
  return (
    path.map((step) => (typeof step === 'object' ? '(key)' : step === 0 ? '[]' : step)).join('.') || '(all)'
  );
}

function formOf(schema: z.ZodType): Form {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Form;
}

function texts(form: Form): Step[][] {
  const below = (step: Step, inner: Form) => texts(inner).map((path) => [step, ...path]);
  const { properties = {}, items, additionalProperties, propertyNames } = form;
  const named = Object.entries(properties).flatMap(([name, inner]) => below(name, inner));
  const listed = items === undefined ? [] : below(0, items);
  const free = typeof additionalProperties === 'object' ? additionalProperties : undefined;
  const keyed: Step[][] =
    free === undefined ? [] : [...(propertyNames ? [[{ key: true }] as Step[]] : []), ...below('X', free)];
  const either = [...(form.anyOf ?? []), ...(form.oneOf ?? []), ...(form.allOf ?? [])].flatMap(texts);
  const own: Step[][] = form.type === 'string' ? [[]] : [];
  return [...own, ...named, ...listed, ...keyed, ...either];
}

function sample(form: Form, name: string, known: Readonly<Record<string, unknown>>): unknown {
  if (Object.hasOwn(known, name)) return known[name];
  if (form.const !== undefined) return form.const;
  if (form.enum !== undefined) return form.enum[0];
  const [choice] = form.anyOf ?? form.oneOf ?? form.allOf ?? [];
  if (choice !== undefined) return sample(choice, name, known);
  switch (form.type) {
    case 'object':
      return Object.fromEntries(
        (form.required ?? []).map((each) => [each, sample(form.properties?.[each] ?? {}, each, known)]),
      );
    case 'array':
      return form.items === undefined ? [] : [];
    case 'integer':
    case 'number':
      return Math.max(form.minimum ?? 0, 1);
    case 'boolean':
      return false;
    case 'string':
      return 'x';
    default:
      return null;
  }
}

function same(one: readonly Step[], other: readonly Step[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
