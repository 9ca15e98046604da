/** Values of a form in which every text that may be anything is one given text, every list has something in it, and nothing is left out. */
import { z } from 'zod';
import type { Form } from './fields.ts';

/** Tried in turn where a text has a grammar. */
const WORDS = [
  'web',
  'web-1',
  'X',
  '1.0.0',
  'a'.repeat(64),
  '00000000-0000-4000-8000-000000000000',
  'deployment/1',
  '1',
  '5m',
  '2026-11-21T09:30:00.000Z',
  'role',
  `${'A'.repeat(86)}==`,
  'fleet_x',
];

/** One value for each form that a choice at the top leaves. */
export function filledOf(schema: z.ZodType, text: string): unknown[] {
  const form = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }) as Form;
  return (form.oneOf ?? form.anyOf ?? [form]).map((each) => filled(each, text));
}

function filled(form: Form, text: string): unknown {
  if (form.const !== undefined) return form.const;
  // What has ended is not waited for.
  if (form.enum !== undefined) return form.enum.find((each) => each === 'succeeded') ?? form.enum[0];
  const [choice] = form.anyOf ?? form.oneOf ?? form.allOf ?? [];
  if (choice !== undefined) return filled(choice, text);
  switch (form.type) {
    case 'object': {
      const named = Object.entries(form.properties ?? {}).map(([name, each]) => [name, filled(each, text)]);
      if (typeof form.additionalProperties !== 'object') return Object.fromEntries(named);
      return Object.fromEntries([
        [wordFor(form.propertyNames, 'key'), filled(form.additionalProperties, text)],
      ]);
    }
    case 'array':
      return [filled(form.items ?? {}, text)];
    case 'integer':
    case 'number':
      return Math.max(form.minimum ?? 0, 1);
    case 'boolean':
      return true;
    case 'string':
      return wordFor(form, text);
    case 'null':
      return null;
    default:
      return text;
  }
}

function wordFor(form: Form | undefined, text: string): string {
  const fits = (word: string) =>
    (form?.pattern === undefined || new RegExp(form.pattern).test(word)) &&
    word.length <= (form?.maxLength ?? Number.POSITIVE_INFINITY);
  return [text, text.slice(0, form?.maxLength), ...WORDS].find(fits) ?? text;
}
