/** I19: what the prober got through the balancer. */

import type { ProbeLine } from '../../record.ts';
import { SLACK, wasHarmed } from '../circumstances.ts';
import type { Evidence } from '../read.ts';
import type { Violation } from '../violation.ts';

export function users(evidence: Evidence): Violation[] {
  return evidence.probes.flatMap((probe): Violation[] => {
    const what = faultOf(evidence, probe);
    return what === null ? [] : [{ id: 'I19', at: probe.at, what }];
  });
}

function faultOf(evidence: Evidence, { at, until, status, host, version, error }: ProbeLine): string | null {
  if (status === null || status >= 500) {
    if (wasHarmed(evidence, host, at, until)) return null;
    return `a request failed (${error ?? status}${host === null ? '' : `, ${host}`}), and no fault harmed a host`;
  }
  if (host === null || version === null) return null;
  const states = evidence.servers.get(host)?.during(at - SLACK, until + SLACK) ?? [];
  if (states.length > 0 && states.every(({ admin }) => admin === 'maint'))
    return `${host} answered a request while it was in maintenance`;
  // It is not current any more, or not yet, while it is hidden: what users are answered by is what current names.
  const active = evidence.currents.get(host)?.during(at - SLACK, until + SLACK) ?? [];
  return active.length === 0 || active.includes(version)
    ? null
    : `${host} answered with ${version}, and current names ${active.join(', ')}`;
}
