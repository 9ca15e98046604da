/**
 * The order in which a program must do its writes, read from its system calls. A file system may be kind and keep more than
 * it was asked to, so that a power cut does not show what is missing here; the next one may not be.
 */
import { dirname } from 'node:path';
import type { Call } from '../tracing/strace.ts';

/** `calls` of one thread. What is wrong, a line each. */
export function faultsOfOrder(calls: readonly Call[]): string[] {
  const faults: string[] = [];
  const dirty = new Set<string>();
  let renamed = null as { to: string; directory: string } | null;
  for (const { name, text, failed } of calls) {
    if (failed) continue;
    const paths = pathsOf(text);
    const [path = '', to = ''] = paths;
    if (name === 'write' || name === 'pwrite64') dirty.add(path);
    if (name === 'fsync' || name === 'fdatasync') {
      dirty.delete(path);
      if (renamed?.directory === path) renamed = null;
    }
    const makes = name === 'rename' || (name === 'openat' && text.includes('O_CREAT'));
    if (makes && renamed !== null) {
      faults.push(
        `${renamed.to} was renamed, and ${to || path} came before the sync of ${renamed.directory}`,
      );
      renamed = null;
    }
    if (name === 'rename') {
      if (dirty.has(path)) faults.push(`${path} was renamed to ${to} before its content was synced`);
      // What is taken away has only to be gone from where it was.
      renamed = { to, directory: to.includes('/staging/') ? dirname(path) : dirname(to) };
    }
  }
  if (renamed !== null) faults.push(`${renamed.to} was renamed, and ${renamed.directory} never synced`);
  return faults;
}

/** Of descriptors and of arguments, except of the directory that relative ones would be below. */
function pathsOf(text: string): string[] {
  const [call = ''] = text.replace(/AT_FDCWD<[^>]*>/g, '').split(' = ');
  return [...call.matchAll(/[<"](\/[^>"]*)[>"]/g)].map((match) => match[1]!);
}
