/** The bugs: unified diffs, each headed by what it breaks, what has to find it, and how that is told. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

export const MEANS = ['simulate', 'chaos', 'crash-points', 'power-cuts', 'syscall-sweep'] as const;
export type Means = (typeof MEANS)[number];

export interface Bug {
  name: string;
  path: string;
  what: string;
  means: Means;
  /** The command in scripts/, with a fixed seed. */
  argv: string[];
  invariant: string;
  /** Words of the complaint, for means that do not name invariants. */
  words: string | null;
}

const DIRECTORY = join(import.meta.dirname, '..', 'seeded-bugs');
const HEADER =
  /^(?<what>[^\n]+)\n\nMeans: (?<command>[^\n]+)\nFinds: (?<invariant>I\d+)(?: \((?<words>[^\n]+)\))?\n\ndiff /;

export function readBugs(): Bug[] {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.patch'));
  return names.sort().map((name) => readBug(join(DIRECTORY, name)));
}

function readBug(path: string): Bug {
  const { what, command, invariant, words } = HEADER.exec(readFileSync(path, 'utf8'))?.groups ?? {};
  const argv = command?.split(' ') ?? [];
  const means = MEANS.find((each) => each === argv[0]);
  if (what === undefined || invariant === undefined || means === undefined)
    throw new Error(`${path} does not begin with what it breaks, Means: and Finds:`);
  return { name: basename(path, '.patch'), path, what, means, argv, invariant, words: words ?? null };
}
