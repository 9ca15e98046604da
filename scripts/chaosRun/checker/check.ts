/**
 * Holds the record of a chaos run against the invariants. Knows nothing of the product but what any user of it sees: disks,
 * the balancer's log, exit statuses, JSON and the tables of the database.
 *
 *   check.ts RUN_DIR     0 clean, 1 violated, 2 the record is not whole
 */
import { pathToFileURL } from 'node:url';
import { around } from './around.ts';
import { calls } from './invariants/calls.ts';
import { current } from './invariants/current.ts';
import { kept } from './invariants/kept.ts';
import { once } from './invariants/once.ts';
import { order } from './invariants/order.ts';
import { overlap } from './invariants/overlap.ts';
import { recaps } from './invariants/recaps.ts';
import { releases } from './invariants/releases.ts';
import { rest } from './invariants/rest.ts';
import { users } from './invariants/users.ts';
import { visible } from './invariants/visible.ts';
import { type Evidence, readEvidence } from './read.ts';
import { INVARIANTS, type Violation } from './violation.ts';

/** Of one invariant, more than these are counted only. */
const SHOWN = 5;

export function check(evidence: Evidence): Violation[] {
  const judges = [current, releases, visible, order, overlap, once, recaps, calls, kept, rest, users];
  return judges.flatMap((judge) => judge(evidence)).sort((a, b) => a.at - b.at);
}

/** What was looked at: a clean record of nothing would be worth nothing. */
export function describeEvidence(evidence: Evidence): string {
  const { run, faults, database, calls: made, probes, rests } = evidence;
  return (
    `seed ${run.seed}, ${run.hosts.length} hosts, ${Math.round((evidence.end - run.startedAt) / 1000)}s: ${faults.length} faults, ` +
    `${database.deployments.length} deployments, ${made.length} calls, ${probes.length} requests, ${rests.length} rests`
  );
}

export function report(evidence: Evidence, violations: Violation[]): string {
  const parts = [describeEvidence(evidence)];
  for (const [id, found] of Map.groupBy(violations, (violation) => violation.id)) {
    parts.push(`\n${id}: ${INVARIANTS[id]}`);
    for (const { at, what } of found.slice(0, SHOWN))
      parts.push(`  violated at ${seconds(evidence, at)}: ${what}`, around(evidence, at));
    if (found.length > SHOWN) parts.push(`  and ${found.length - SHOWN} more`);
  }
  parts.push(violations.length === 0 ? '0 violations' : `\n${violations.length} violations`);
  return parts.join('\n');
}

const seconds = ({ run }: Evidence, at: number) => `${((at - run.startedAt) / 1000).toFixed(3)}s`;

function main([directory]: string[]): number {
  if (directory === undefined) {
    console.error('usage: check.ts RUN_DIR');
    return 2;
  }
  try {
    const evidence = readEvidence(directory);
    const violations = check(evidence);
    console.log(report(evidence, violations));
    return violations.length === 0 ? 0 : 1;
  } catch (error) {
    console.error(`not checked: ${error instanceof Error ? error.stack : String(error)}`);
    return 2;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.exitCode = main(process.argv.slice(2));
