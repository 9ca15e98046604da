/** The bugs: unified diffs, each headed by what it breaks, what has to find it, and how that is told. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** `test`: a test file, which is enough where a defence is taken away; the others look for what nobody thought of. */
export const MEANS = ['simulate', 'chaos', 'crash-points', 'power-cuts', 'syscall-sweep', 'test'] as const;
export type Means = (typeof MEANS)[number];

/** `bugs`: what checkers have to find. `holes`: a defence each that is gone, which a named test has to say. */
export const KINDS = ['bugs', 'holes'] as const;
export type Kind = (typeof KINDS)[number];

export interface Bug {
  kind: Kind;
  name: string;
  path: string;
  what: string;
  means: Means;
  /** The command in scripts/, with a fixed seed; or `test` and the file. */
  argv: string[];
  /** Null for a test: it has words alone. */
  invariant: string | null;
  /** Words of the complaint, for means that do not name invariants. */
  words: string | null;
}

const HEADER = /^(?<what>[^\n]+)\n\nMeans: (?<command>[^\n]+)\nFinds: (?<found>[^\n]+)\n\ndiff /;
const INVARIANT = /^(?<invariant>I\d+)(?: \((?<words>[^\n]+)\))?$/;

export function readBugs(kinds: readonly Kind[] = KINDS): Bug[] {
  return kinds.flatMap((kind) => {
    const folder = join(import.meta.dirname, '..', `seeded-${kind}`);
    const names = readdirSync(folder).filter((name) => name.endsWith('.patch'));
    return names.sort().map((name) => readBug(kind, join(folder, name)));
  });
}

function readBug(kind: Kind, path: string): Bug {
  const { what, command, found } = HEADER.exec(readFileSync(path, 'utf8'))?.groups ?? {};
  const argv = command?.split(' ') ?? [];
  const means = MEANS.find((each) => each === argv[0]);
  const told = means === 'test' ? { words: found } : INVARIANT.exec(found ?? '')?.groups;
  if (what === undefined || told === undefined || means === undefined)
    throw new Error(`${path} does not begin with what it breaks, Means: and Finds:`);
  const { invariant = null, words = null } = told as { invariant?: string; words?: string };
  return { kind, name: basename(path, '.patch'), path, what, means, argv, invariant, words };
}
