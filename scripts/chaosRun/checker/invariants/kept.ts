/** I12: everything that somebody was told is in the database at the end. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Deployment, FINAL } from '../database.ts';
import type { Call, Evidence } from '../read.ts';
import { historyRows } from '../status.ts';
import type { Violation } from '../violation.ts';
import { recapOf } from './calls.ts';
import { isGreen } from './recaps.ts';

export function kept(evidence: Evidence): Violation[] {
  const { database, end } = evidence;
  const deployments = new Map(database.deployments.map((each) => [each.id, each]));
  return [
    ...database.damage.map((what): Violation => ({ id: 'I12', at: end, what: `the database: ${what}` })),
    ...evidence.calls
      .filter((call) => !call.killed)
      .flatMap((call) =>
        acknowledged(evidence, deployments, call).map(
          (what): Violation => ({
            id: 'I12',
            at: call.to,
            what: `${call.argv.join(' ')} was told of ${what}`,
          }),
        ),
      ),
    ...histories(evidence, deployments),
  ];
}

function acknowledged(evidence: Evidence, deployments: Map<number, Deployment>, call: Call): string[] {
  const { database, directory, run } = evidence;
  const answer = call.json as { id?: unknown; release?: { version?: string } | null } | null;
  const id = answer?.id;
  if (typeof id === 'number' && !deployments.has(id))
    return [`deployment ${id}, which is not in the database`];
  const built = call.exit === 0 ? answer?.release?.version : undefined;
  if (built !== undefined) {
    const row = database.artifacts.some(({ version }) => version === built);
    const file = existsSync(join(directory, 'manifests', run.service, `${built}.json`));
    return row && file
      ? []
      : [`version ${built}, which is ${row ? 'not on the shelf' : 'not in the database'}`];
  }
  const recap = recapOf(call.json);
  if (recap === null || recap.state === 'running') return [];
  const row = deployments.get(recap.deployment);
  if (row === undefined) return [`deployment ${recap.deployment}, which is not in the database`];
  if (row.exit !== recap.exit)
    return [`exit status ${recap.exit} of deployment ${row.id}, which has ${row.exit} in the database`];
  return recap.hosts
    .filter((host) => recap.exit === 0 && isGreen(host, recap.version))
    .filter(({ host }) => !hasPoint(evidence, row, host))
    .map(
      ({ host }) => `${row.version} verified on ${host}, which has no rollback point of deployment ${row.id}`,
    );
}

/** One that found nothing to do has no steps, and stands on the points of those before it. */
function hasPoint({ database }: Evidence, { id, version, steps }: Deployment, host: string): boolean {
  return database.points.some(
    (point) =>
      (point.deployment === id || (steps.length === 0 && point.deployment < id)) &&
      point.host === host &&
      point.version === version,
  );
}

/** What history told at rest stays history. */
function histories({ rests }: Evidence, deployments: Map<number, Deployment>): Violation[] {
  return rests.flatMap(({ at, state }) =>
    historyRows(state.history).flatMap((told): Violation[] => {
      const row = deployments.get(told.id);
      const say = (what: string): Violation[] => [
        { id: 'I12', at, what: `history told of deployment ${told.id} (${told.state}), ${what}` },
      ];
      if (row === undefined) return say('which is not in the database');
      return FINAL.has(told.state) && row.state !== told.state
        ? say(`which is ${row.state} in the database`)
        : [];
    }),
  );
}
