/** YAML text as a plain value, and the way back from a path in that value to a line and column. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml';

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

export interface Parsed {
  raw: unknown;
  /** Where there are any, `raw` means nothing. */
  problems: Problem[];
  /** A problem at the place that a path has in the text. */
  problemAt(path: PropertyKey[], message: string, at?: 'key' | 'value'): Problem;
  /** A scalar as it stands in the text: `1.10`, where the value is 1.1. */
  written(path: PropertyKey[]): string | undefined;
}

export function parseYaml(text: string, file: string): Parsed {
  const lines = new LineCounter();
  const problem = (offset: number, message: string, path: PropertyKey[] = []): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), path: spell(path), message };
  };
  const broken = (problems: Problem[]): Parsed => ({
    raw: undefined,
    problems,
    problemAt: (path, message) => problem(0, message, path),
    written: () => undefined,
  });

  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  } catch {
    return broken([problem(0, 'is nested too deeply to be read')]);
  }
  const problems = [
    ...[...document.errors, ...document.warnings].map((error) => {
      const [offset] = error.pos;
      const twice = () => `the key \`${/^[^\s:]+/.exec(text.slice(offset))?.[0] ?? ''}\` is there twice`;
      return problem(offset, error.code === 'DUPLICATE_KEY' ? twice() : error.message);
    }),
    ...aliasProblems(document).map(({ offset, message }) => problem(offset, message)),
  ];
  if (problems.length > 0) return broken(problems);
  try {
    const raw: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    if (raw === null || raw === undefined) return broken([problem(0, 'the file is empty')]);
    return {
      raw,
      problems,
      problemAt: (path, message, at = 'value') => problem(offsetOf(document, path, at), message, path),
      written(path) {
        const node = document.getIn(path, true);
        return isScalar(node) ? node.source : undefined;
      },
    };
  } catch {
    return broken([problem(0, TOO_MANY)]);
  }
}

const TOO_MANY = 'uses too many aliases (`*name`)';

function aliasProblems(document: Document.Parsed): Array<{ offset: number; message: string }> {
  const problems: Array<{ offset: number; message: string }> = [];
  let aliases = 0;
  visit(document, {
    Alias(_, alias) {
      const offset = alias.range?.[0] ?? 0;
      // Each is looked for in the whole file: a great many are not looked for at all.
      if (++aliases > MAX_ALIASES) {
        problems.push({ offset, message: TOO_MANY });
        return visit.BREAK;
      }
      if (alias.resolve(document) === undefined) {
        const message = `\`*${alias.source}\` stands for nothing: a text that begins with * needs quotes`;
        problems.push({ offset, message });
      }
      return undefined;
    },
  });
  return problems;
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

function spell(path: PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${String(key)}`))
    .join('');
}
