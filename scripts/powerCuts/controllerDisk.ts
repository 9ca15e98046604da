/** What is on the controller's disk, read without the product: rows of the database, artifacts against their manifests. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Shown } from './scene.ts';

/** What the controller has told somebody, and must therefore know for ever. */
export interface Acknowledged {
  epoch: number;
  /** Versions whose build ended well. */
  builds: string[];
  /** Ended deployments: number and exit status. */
  ended: Map<number, number>;
  /** The last that was said of the deployment under way. */
  under: Shown | null;
}

export function countOf({ builds, ended, under }: Acknowledged): number {
  const done = under?.steps.filter(({ state }) => state === 'done').length ?? 0;
  return builds.length + ended.size + (under ? 1 + done : 0);
}

/** What is lost or broken, a line each. Looked for in a copy, so that the log that the cut left is still there to be read. */
export function faultsOfController(data: string, told: Acknowledged): string[] {
  const copy = mkdtempSync(`${data}.copy-`);
  try {
    for (const name of ['fleet.sqlite', 'fleet.sqlite-wal'])
      if (existsSync(join(data, name))) copyFileSync(join(data, name), join(copy, name));
    const database = new DatabaseSync(join(copy, 'fleet.sqlite'));
    try {
      return [...faultsOfRows(database, told), ...faultsOfShelf(database, told.builds)];
    } finally {
      database.close();
    }
  } catch (error) {
    return [`the database cannot be read: ${error}`];
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function faultsOfRows(database: DatabaseSync, { epoch, ended, under }: Acknowledged): string[] {
  const one = (sql: string, ...values: Array<string | number>) => database.prepare(sql).get(...values);
  const faults: string[] = [];
  const integrity = one('pragma integrity_check')?.integrity_check;
  if (integrity !== 'ok') faults.push(`the database is damaged: ${integrity}`);
  if (Number(one("select value from meta where key = 'epoch'")?.value ?? 0) < epoch)
    faults.push(`epoch ${epoch} is forgotten`);
  for (const [id, exit] of ended)
    if (one('select exit from deployments where id = ?', id)?.exit !== exit)
      faults.push(`deployment ${id} ended with ${exit}, which is lost`);
  if (under === null) return faults;
  const { deployment, steps } = under;
  if (!one('select id from deployments where id = ?', deployment.id))
    faults.push(`deployment ${deployment.id} is lost`);
  for (const { step, host, kind, state, outcome } of steps) {
    if (state !== 'done') continue;
    const row = one('select outcome from steps where deployment = ? and step = ?', deployment.id, step);
    if (row?.outcome !== outcome) faults.push(`${kind} on ${host} of deployment ${deployment.id} is lost`);
    const points = 'select id from rollback_points where deployment = ? and host = ?';
    if (kind === 'record' && (outcome === 'ok' || outcome === 'changed') && !one(points, deployment.id, host))
      faults.push(`the rollback point of deployment ${deployment.id} on ${host} is lost`);
  }
  return faults;
}

function faultsOfShelf(database: DatabaseSync, builds: string[]): string[] {
  return builds.flatMap((version) => {
    const row = database.prepare('select * from artifacts where version = ?').get(version);
    if (row === undefined) return [`build ${version} is lost`];
    try {
      const manifest = JSON.parse(readFileSync(String(row.manifest_path), 'utf8')) as {
        artifact: { sha256: string };
      };
      const sha256 = createHash('sha256')
        .update(readFileSync(String(row.artifact_path)))
        .digest('hex');
      return sha256 === manifest.artifact.sha256 ? [] : [`the artifact of ${version} is not what it was`];
    } catch (error) {
      return [`the artifact of ${version} cannot be read: ${error}`];
    }
  });
}
