/**
 * What a release may contain: the one list of rules that the packer keeps and the unpacker does not take on trust.
 * Decided on the entries alone, before any disk is touched.
 */
import { posix } from 'node:path';

/** ASCII and C1 controls, and the two line separators that editors and terminals obey. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const ASCII = /^[\u0000-\u007f]*$/;
const LONGEST = 1024;

type Named = { type: 'file' | 'directory'; path: string } | { type: 'link'; path: string; target: string };

/** What is wrong with these entries, as a sentence that names the path; undefined where a release may look like this. */
export function findUnsafe(files: readonly Named[]): string | undefined {
  const directories = new Set(['.']);
  const folded = new Map<string, string>();
  let previous = '';
  for (const entry of files) {
    const { path } = entry;
    const wrong = nameFault(path) ?? (entry.type === 'link' ? targetFault(path, entry.target) : undefined);
    if (wrong) return `${JSON.stringify(path)} ${wrong}`;
    if (path === previous) return `${JSON.stringify(path)} is there twice`;
    if (path < previous) return `${JSON.stringify(path)} is out of order`;
    previous = path;
    if (!directories.has(posix.dirname(path)))
      return `${JSON.stringify(path)} is in no directory of the release`;
    if (entry.type === 'directory') directories.add(path);
    const key = fold(path);
    const twin = folded.get(key);
    if (twin !== undefined)
      return `${JSON.stringify(path)} and ${JSON.stringify(twin)} are one name where case or accents do not count`;
    folded.set(key, path);
  }
  return undefined;
}

function nameFault(path: string): string | undefined {
  if (path.length > LONGEST) return `is longer than ${LONGEST} characters`;
  if (CONTROL.test(path)) return 'has a control character in its name';
  if (!path.isWellFormed() || path.includes('\ufffd')) return 'has a name that is not UTF-8';
  for (const part of path.split('/'))
    if (part === '' || part === '.' || part === '..') return 'is not a plain relative path';
  return undefined;
}

/**
 * A link may climb only at the beginning of its target, and no higher than the release. The directories that it climbs are
 * real ones (every parent of an entry is a directory entry), and a link that its target passes through obeys the same rule:
 * so no chain of links leaves the release either, and nothing needs to be resolved to know it.
 */
function targetFault(path: string, target: string): string | undefined {
  if (target === '' || target.length > LONGEST) return `is a link whose target is empty or too long`;
  if (CONTROL.test(target) || !target.isWellFormed())
    return 'is a link with a control character in its target';
  if (target.startsWith('/')) return `is a link to the absolute path ${target}`;
  let depth = path.split('/').length - 1;
  let descended = false;
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') descended = true;
    else if (descended) return `is a link to ${target}, which climbs after it has descended`;
    else if (--depth < 0) return `is a link to ${target}, outside the release`;
  }
  return undefined;
}

function fold(path: string): string {
  return ASCII.test(path)
    ? path.toLowerCase()
    : path.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}
