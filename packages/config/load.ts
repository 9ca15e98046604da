/** A YAML file through its schema. Whatever is wrong with it is told all at once, each with the place to put the cursor. */
import { readFile } from 'node:fs/promises';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { z } from 'zod';
import { explain } from './explain.ts';
import { type Parsed, type Problem, parseYaml } from './parse.ts';

export type { Problem } from './parse.ts';

const MAX_BYTES = 1024 * 1024;

export interface Inspected<T> {
  /** Undefined where there are problems. */
  value: T | undefined;
  /** As it was written, before defaults. */
  raw: unknown;
  problems: Problem[];
  /** For a problem that the schema does not know of. */
  problemAt: Parsed['problemAt'];
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
  const { raw, problems, problemAt, written } = parseYaml(text, file);
  if (problems.length > 0) return { value: undefined, raw, problems, problemAt };
  const result = schema.safeParse(raw);
  if (result.success) return { value: result.data, raw, problems, problemAt };
  const found = explain(schema, raw, written)
    .map(({ path, message, at }) => problemAt(path, message, at))
    .sort((one, other) => one.line - other.line || one.column - other.column);
  return { value: undefined, raw, problems: found, problemAt };
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
