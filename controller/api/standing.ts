/** Where a host stands for one of its services, as people are told. */
import type { Standing } from '@fleet/protocol/api/standing.ts';
import type { Placed } from '../config/config.ts';
import type { OutHost } from '../store/outHosts.ts';
import type { Served } from './handlers.ts';

/** Out, before all else: whoever has taken it out knows why. */
export function standingOf(
  { catchUp }: Pick<Served, 'catchUp'>,
  place: Pick<Placed, 'service' | 'environment'>,
  host: string,
  out: OutHost | undefined,
): Standing | null {
  if (out === undefined) return catchUp.standingOf(place, host)?.standing ?? null;
  const why = `out since ${out.since}, by ${out.by}: ${out.why}`;
  return { state: 'out', why, next: `fleet hosts in ${host}` };
}
