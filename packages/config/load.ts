/** A YAML file through its schema. Whatever is wrong with it is told all at once, each with the place to put the cursor. */
import { readFile } from 'node:fs/promises';
import { FleetError } from '@fleet/protocol/errors.ts';
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import { explain } from './explain.ts';

const MAX_BYTES = 1024 * 1024;
const MAX_ALIASES = 50;

export interface Problem {
  file: string;
  /** Both count from 1. */
  line: number;
  column: number;
  /** `services.segmenter.source.git`; empty for the file as a whole. */
  path: string;
  message: string;
}

export interface Inspected<T> {
  /** Undefined where there are problems. */
  value: T | undefined;
  /** As it was written, before defaults. */
  raw: unknown;
  problems: Problem[];
  /** A problem that the schema does not know of, at the place that a path has in the file. */
  problemAt(path: PropertyKey[], message: string, at?: 'key' | 'value'): Problem;
}

export function tellProblem({ file, line, column, path, message }: Problem): string {
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`;
}

export function refuseProblems(problems: Problem[]): FleetError {
  return new FleetError('bad_config', problems.map(tellProblem).join('\n'), {
    next: problems.length === 1 ? 'Correct the line and try again.' : 'Correct these lines and try again.',
    data: { problems },
  });
}

/** Throws FleetError `bad_config`. `shownAs` is the file's name in messages, where the path would say nothing to people. */
export async function loadYaml<S extends z.ZodType>(
  path: string,
  schema: S,
  shownAs = path,
): Promise<{ value: z.infer<S>; raw: unknown }> {
  const { value, raw, problems } = await inspectYaml(path, schema, shownAs);
  if (value === undefined || problems.length > 0) throw refuseProblems(problems);
  return { value, raw };
}

/** Like `loadYaml`, but problems are the answer. Throws `bad_config` only where there is no text to read. */
export async function inspectYaml<S extends z.ZodType>(
  path: string,
  schema: S,
  shownAs = path,
): Promise<Inspected<z.infer<S>>> {
  return inspectText(await readText(path, shownAs), schema, shownAs);
}

export function inspectText<S extends z.ZodType>(
  text: string,
  schema: S,
  file: string,
): Inspected<z.infer<S>> {
  const lines = new LineCounter();
  const problem = (offset: number, path: string, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), path, message };
  };
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  } catch {
    return nothing([{ file, line: 1, column: 1, path: '', message: 'is nested too deeply to be read' }]);
  }
  const broken = [...document.errors, ...document.warnings].map((error) =>
    problem(
      error.pos[0],
      '',
      error.code === 'DUPLICATE_KEY'
        ? `the key \`${/^[^\s:]+/.exec(text.slice(error.pos[0]))?.[0] ?? ''}\` is there twice`
        : error.message,
    ),
  );
  if (broken.length > 0) return nothing(broken);

  let raw: unknown;
  try {
    raw = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    return nothing([{ file, line: 1, column: 1, path: '', message: 'uses too many aliases (`*name`)' }]);
  }
  if (raw === null || raw === undefined)
    return nothing([{ file, line: 1, column: 1, path: '', message: 'the file is empty' }]);

  const problemAt: Inspected<z.infer<S>>['problemAt'] = (path, message, at = 'value') =>
    problem(offsetOf(document, path, at), spell(path), message);
  const result = schema.safeParse(raw);
  const complaints = result.success ? [] : explain(schema, raw, (path) => written(document, path));
  const problems = complaints
    .map(({ path, message, at }) => problemAt(path, message, at))
    .sort((one, other) => one.line - other.line || one.column - other.column);
  return { value: result.success ? result.data : undefined, raw, problems, problemAt };

  function nothing(problems: Problem[]): Inspected<z.infer<S>> {
    return {
      value: undefined,
      raw: undefined,
      problems,
      problemAt: (path, message) => problem(0, spell(path), message),
    };
  }
}

async function readText(path: string, shownAs: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'it is a folder'
          : code === 'EACCES'
            ? 'this user may not read it'
            : (cause as Error).message;
    throw new FleetError('bad_config', `${shownAs}: ${why}`, {
      next: code === 'ENOENT' ? '`fleet init` writes one to begin with.' : undefined,
      cause,
    });
  }
  if (bytes.length > MAX_BYTES)
    throw new FleetError('bad_config', `${shownAs}: the file is larger than ${MAX_BYTES / 1024} KiB`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FleetError('bad_config', `${shownAs}: the file is not UTF-8 text`, { cause });
  }
}

/** Where a path stands in the text. What is missing is looked for at the key that it is missing under. */
function offsetOf(document: Document.Parsed, path: PropertyKey[], at: 'key' | 'value'): number {
  let node: Node | null | undefined = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [index, key] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node)) {
      node = node.items[Number(key)] as Node | undefined;
      if (node?.range == null) return offset;
      offset = node.range[0];
      continue;
    }
    const pair = isMap(node)
      ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key))
      : undefined;
    if (pair === undefined) return offset;
    offset = (pair.key as Node).range?.[0] ?? offset;
    node = pair.value as Node | null;
    const last = index === path.length - 1;
    if (last && at === 'value' && isScalar(node) && node.value !== null) offset = node.range?.[0] ?? offset;
  }
  return offset;
}

function written(document: Document.Parsed, path: PropertyKey[]): string | undefined {
  const node = document.getIn(path, true);
  return isScalar(node) ? node.source : undefined;
}

function spell(path: PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${String(key)}`))
    .join('');
}
