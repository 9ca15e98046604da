/** What differs from the rehearsal before, for whoever wonders why it failed today: pure. */

import { formatDuration } from '@fleet/cli/print/duration.ts';
import type { RehearsalReport } from '@fleet/protocol/api/rehearsals.ts';

const FACTS = ['distribution', 'kernel', 'libc', 'node', 'agent', 'platform'] as const;
/** A phase that takes this much longer than before is worth a line. */
const SLOWER = 1.5;
const SLOWER_BY_MS = 5000;

export function differences(before: RehearsalReport, now: RehearsalReport): string[] {
  return [
    ...ofFacts(before, now),
    ...ofServices(before, now),
    ...ofPackages(before, now),
    ...ofTimes(before, now),
  ];
}

function ofFacts({ facts: before }: RehearsalReport, { facts: now }: RehearsalReport): string[] {
  if (before === null || now === null) return [];
  return FACTS.filter((name) => before[name] !== now[name]).map(
    (name) => `${name} ${now[name]}, was ${before[name]}`,
  );
}

function ofServices(before: RehearsalReport, now: RehearsalReport): string[] {
  return now.services.flatMap(({ service, environment, version }) => {
    const was = before.services.find((each) => each.service === service && each.environment === environment);
    return was === undefined || was.version === version ? [] : [`${service} ${version}, was ${was.version}`];
  });
}

function ofPackages({ facts: before }: RehearsalReport, { facts: now }: RehearsalReport): string[] {
  const [was, is] = [before?.packages, now?.packages];
  if (was == null || is == null) return [];
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].sort().flatMap((name) => {
    const [old, new_] = [was[name], is[name]];
    if (old === new_) return [];
    if (old === undefined) return [`package ${name} ${new_} is new`];
    return [new_ === undefined ? `package ${name} ${old} is gone` : `package ${name} ${new_}, was ${old}`];
  });
}

function ofTimes(before: RehearsalReport, now: RehearsalReport): string[] {
  return now.phases.flatMap(({ name, outcome, ms }) => {
    const was = before.phases.find((each) => each.name === name && each.outcome === 'ok');
    if (was === undefined || outcome !== 'ok' || ms < was.ms * SLOWER || ms < was.ms + SLOWER_BY_MS)
      return [];
    return [`${name} took ${formatDuration(ms)}, was ${formatDuration(was.ms)}`];
  });
}
