/** Where a rollback goes when nobody says where: pure, from the rollback points. */
import type { RollbackPoint } from '../store/rollbackPoints.ts';

/**
 * The newest version that was verified on every targeted host, was not gone back from on any, and is not what all of them
 * run already. `points` are newest first; `running` names what each targeted host runs.
 */
export function previousGood(
  points: readonly RollbackPoint[],
  running: ReadonlyMap<string, string | null>,
): string | undefined {
  const hosts = [...running.keys()];
  const newest = new Map<string, Map<string, RollbackPoint>>();
  for (const point of points) {
    if (!running.has(point.host)) continue;
    const ofHost = newest.get(point.host) ?? new Map<string, RollbackPoint>();
    newest.set(point.host, ofHost);
    if (!ofHost.has(point.version)) ofHost.set(point.version, point);
  }
  const inOrder = new Set(points.filter((point) => running.has(point.host)).map((point) => point.version));
  return [...inOrder].find(
    (version) =>
      hosts.some((host) => running.get(host) !== version) &&
      hosts.every((host) => newest.get(host)?.get(version)?.leftBy === null),
  );
}
