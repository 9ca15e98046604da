import { placesOn } from '../config/config.ts';
import { examineHost } from '../doctor/examine.ts';
import type { Handlers, Served } from './handlers.ts';
import { unknownHost } from './hosts.ts';
import { isIn } from './reach.ts';

export function doctor(served: Served): Handlers<'hosts.examine'> {
  const { store, config } = served;
  return {
    'hosts.examine': async ({ params: { host }, query: { packages }, who }) => {
      const record = (await store.hosts.list()).find((each) => each.host === host);
      if (record === undefined) throw unknownHost(host);
      const places = placesOn(config, record).filter((place) => isIn(who, place));
      return { host, ...(await examineHost(served, record, places, packages)) };
    },
  };
}
