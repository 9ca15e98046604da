/** A schema as people read types: `{ id: integer }`. What stands in several places is written out once, under its name. */
import { z } from 'zod';

interface Node {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: Node[];
  oneOf?: Node[];
  items?: Node;
  properties?: Record<string, Node>;
  additionalProperties?: Node | boolean;
  required?: string[];
  default?: unknown;
}

/** Writes schemas, and knows those that have a name. */
export class Shapes {
  readonly #names = z.registry<{ id: string }>();

  constructor(named: Record<string, z.ZodType>) {
    for (const [id, schema] of Object.entries(named)) this.#names.add(schema, { id });
  }

  /** `input`: what a caller writes, before defaults. */
  write(schema: z.ZodType, io: 'input' | 'output'): string {
    const name = this.#names.get(schema)?.id;
    return name ?? writeNode(this.#nodeOf(schema, io), '');
  }

  /** Although it has a name. */
  writeWhole(schema: z.ZodType, io: 'input' | 'output'): string {
    return writeNode(this.#nodeOf(schema, io), '');
  }

  /** Each branch of a union, whole. */
  writeBranches(schema: z.ZodType): string[] {
    const { oneOf, anyOf } = this.#nodeOf(schema, 'output');
    return (oneOf ?? anyOf ?? []).map((branch) => writeNode(branch, ''));
  }

  #nodeOf(schema: z.ZodType, io: 'input' | 'output'): Node {
    const { $defs = {}, ...node } = z.toJSONSchema(schema, { io, metadata: this.#names }) as Node & {
      $defs?: Record<string, Node>;
    };
    return node.$ref === undefined ? node : ($defs[nameIn(node.$ref)] ?? node);
  }
}

/** Objects of a few short keys stay on one line. */
const WIDE = 90;

function writeNode(node: Node, indent: string): string {
  if (node.$ref !== undefined) return nameIn(node.$ref);
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum !== undefined) return node.enum.map((value) => JSON.stringify(value)).join(' | ');
  const branches = node.anyOf ?? node.oneOf;
  if (branches !== undefined)
    return [...new Set(branches.map((branch) => writeNode(branch, indent)))].join(' | ');
  if (node.type === 'array') {
    const item = writeNode(node.items ?? {}, indent);
    return item.includes(' | ') && !item.startsWith('{') ? `(${item})[]` : `${item}[]`;
  }
  if (node.type === 'object') return writeObject(node, indent);
  return node.type === undefined ? 'anything' : [node.type].flat().join(' | ');
}

function writeObject(node: Node, indent: string): string {
  if (node.properties === undefined)
    return `{ [name]: ${writeNode(typeof node.additionalProperties === 'object' ? node.additionalProperties : {}, indent)} }`;
  const inner = `${indent}  `;
  const keys = Object.entries(node.properties).map(([key, value]) => {
    const optional = node.required?.includes(key) ? '' : '?';
    const fallback = value.default === undefined ? '' : ` = ${JSON.stringify(value.default)}`;
    return `${key}${optional}: ${writeNode(value, inner)}${fallback}`;
  });
  const line = `{ ${keys.join('; ')} }`;
  if (indent.length + line.length <= WIDE && !line.includes('\n')) return line;
  return `{\n${keys.map((key) => `${inner}${key}\n`).join('')}${indent}}`;
}

const nameIn = (reference: string) => reference.slice(reference.lastIndexOf('/') + 1);
