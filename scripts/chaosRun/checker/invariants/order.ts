/** I6: the order of hiding, switching, smoke testing and showing. */
import { SLACK, wasFaulty } from '../circumstances.ts';
import type { Evidence } from '../read.ts';
import type { Violation } from '../violation.ts';
import { hiddenTimes } from './visible.ts';

export function order(evidence: Evidence): Violation[] {
  return evidence.run.hosts.flatMap((host) => [
    ...switches(evidence, host),
    ...shown(evidence, host),
    ...brokenShown(evidence, host),
  ]);
}

/** `current` is switched on hidden hosts alone. */
function switches(evidence: Evidence, host: string): Violation[] {
  const server = evidence.servers.get(host);
  const spans = evidence.currents.get(host)?.spans ?? [];
  return spans.slice(1).flatMap(({ from, value }): Violation[] => {
    if (value === null) return [];
    const around = server?.during(from - SLACK, from + SLACK) ?? [];
    if (around.length === 0 || around.some(({ admin }) => admin !== 'ready')) return [];
    if (wasFaulty(evidence, ['balancer.gone'], from - 1000, from + 1000)) return [];
    return [
      {
        id: 'I6',
        at: from,
        what: `${host}: current became ${value}, and the balancer sent it users meanwhile`,
      },
    ];
  });
}

/** Where a host comes back with another release than it went with, that one has passed its smoke test since. */
function shown(evidence: Evidence, host: string): Violation[] {
  const passed = evidence.programs.filter(({ name, event }) => name === 'smoke' && event === 'end');
  if (passed.length === 0) return [];
  const current = evidence.currents.get(host);
  return hiddenTimes(evidence, host).flatMap(({ from, to }): Violation[] => {
    const switched = current?.spans.findLast((span) => span.from <= to);
    if (to === Number.POSITIVE_INFINITY || !switched || switched.from < from - SLACK) return [];
    const tested = passed.some(
      (line) =>
        line.host === host &&
        line.version === switched.value &&
        line.at >= switched.from - SLACK &&
        line.at <= to + SLACK,
    );
    return tested
      ? []
      : [
          {
            id: 'I6',
            at: to,
            what: `${host} was shown again with ${switched.value}, not smoke tested since its switch`,
          },
        ];
  });
}

/** No act of fleet shows a release that cannot pass its smoke test. */
function brokenShown(evidence: Evidence, host: string): Violation[] {
  const broken = new Set(evidence.run.versions.filter((each) => each.broken).map(({ version }) => version));
  const server = evidence.servers.get(host);
  return (evidence.currents.get(host)?.spans ?? [])
    .filter(({ value }) => value !== null && broken.has(value))
    .flatMap(({ from, to, value }): Violation[] => {
      const until = Math.min(to, evidence.end);
      const seen = server?.spans.find(
        (span) =>
          span.value.admin === 'ready' && Math.min(span.to, until) - Math.max(span.from, from) > SLACK,
      );
      if (seen === undefined) return [];
      const what = `${host} was visible with ${value}, which fails its smoke test`;
      return [{ id: 'I6', at: Math.max(seen.from, from), what }];
    });
}
