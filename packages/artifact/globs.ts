/**
 * Which paths go into a package. A glob that matches a directory stands for everything below it; a leading dot is nothing
 * special. `path.matchesGlob` passes dotfiles by and compiles its pattern anew for each path, so it is not used here.
 */
import { FleetError } from '@fleet/protocol/errors.ts';

export type Matches = (path: string) => boolean;

/** Knows `*`, `**`, `?`, `[a-z]`, `[!a]`, `{a,b}` and a backslash before a character that is meant literally. */
export function compileGlobs(globs: readonly string[]): Matches {
  if (globs.length === 0) return () => false;
  const patterns = globs.map((glob) => toRegExp(glob));
  return (path) => patterns.some((pattern) => pattern.test(path));
}

function toRegExp(glob: string): RegExp {
  try {
    return new RegExp(`^${toPattern(glob)}$`, 'su');
  } catch (cause) {
    if (cause instanceof FleetError) throw cause;
    throw new FleetError('bad_config', `the glob ${glob} cannot be understood`, { cause });
  }
}

function toPattern(glob: string): string {
  if (glob.startsWith('!'))
    throw new FleetError('bad_config', `the glob ${glob} begins with an exclamation mark`, {
      next: `write ${glob.slice(1)} under package.exclude instead`,
    });
  const text = glob.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
  let pattern = '';
  let braces = 0;
  for (let at = 0; at < text.length; at++) {
    const rest = text.slice(at);
    const starts = at === 0 || text[at - 1] === '/';
    const set = /^\[(!|\^)?(\]?[^\]/]*)\]/.exec(rest);
    if (starts && rest.startsWith('**/')) {
      pattern += '(?:.*/)?';
      at += 2;
    } else if (starts && rest === '**') {
      pattern += '.+';
      at += 1;
    } else if (text[at] === '*') pattern += '[^/]*';
    else if (text[at] === '?') pattern += '[^/]';
    else if (set) {
      pattern += `(?!/)[${set[1] ? '^' : ''}${set[2]!.replace(/[\\\][^]/g, '\\$&')}]`;
      at += set[0].length - 1;
    } else if (text[at] === '{' && rest.includes('}')) {
      pattern += '(?:';
      braces++;
    } else if (text[at] === '}' && braces > 0) {
      pattern += ')';
      braces--;
    } else if (text[at] === ',' && braces > 0) pattern += '|';
    else pattern += literal(text[at] === '\\' && at + 1 < text.length ? text[++at]! : text[at]!);
  }
  if (braces > 0) throw new FleetError('bad_config', `the glob ${glob} opens more braces than it closes`);
  return pattern;
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
}
