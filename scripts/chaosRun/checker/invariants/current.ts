/** I1: what `current` named, by every look at it and on the disk at the end. */
import { lstatSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Evidence, versionIn } from '../read.ts';
import type { Violation } from '../violation.ts';

export function current(evidence: Evidence): Violation[] {
  const { run, end, directory } = evidence;
  const versions = new Set(run.versions.map(({ version }) => version));
  return run.hosts.flatMap((host) => {
    const found: Violation[] = [];
    let succeeded = false;
    for (const { at, target, there } of evidence.current.filter((line) => line.host === host)) {
      const version = versionIn(target);
      succeeded ||= version !== null && there;
      if (target === null && !succeeded) continue;
      const wrong = faultOf(target, version, there, versions);
      if (wrong !== null) found.push({ id: 'I1', at, what: `${host}: current ${wrong}` });
    }
    const left = succeeded ? atTheEnd(join(directory, 'disks', host, run.service, 'current')) : null;
    if (left !== null) found.push({ id: 'I1', at: end, what: `${host}, at the end: current ${left}` });
    return found;
  });
}

function faultOf(
  target: string | null,
  version: string | null,
  there: boolean,
  versions: ReadonlySet<string>,
): string | null {
  if (target === null) return 'is gone';
  if (version === null) return `is ${target}, which is no link into releases/`;
  if (!versions.has(version)) return `names ${version}, which was never built`;
  return there ? null : `names ${target}, which is not there`;
}

function atTheEnd(path: string): string | null {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isSymbolicLink()) return stat ? 'is no link' : 'is gone';
  const target = readlinkSync(path);
  if (versionIn(target) === null) return `is ${target}, which is no link into releases/`;
  return statSync(path, { throwIfNoEntry: false })?.isDirectory()
    ? null
    : `names ${target}, which is not there`;
}
