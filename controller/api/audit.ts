import { FleetError } from '@fleet/protocol/errors.ts';
import { verifyAudit } from '../people/chain.ts';
import type { Handlers, Served } from './handlers.ts';

export function audit({ store }: Served): Handlers<'audit.list' | 'audit.verify'> {
  return {
    'audit.list': ({ query }) => store.audit.list(query),
    'audit.verify': async ({ query: { seq, hash } }) => {
      if ((seq === undefined) !== (hash === undefined))
        throw new FleetError('bad_request', 'a noted row has a number and a hash', {
          next: 'fleet audit verify --head NUMBER:HASH',
        });
      return verifyAudit(store.audit, seq === undefined || hash === undefined ? undefined : { seq, hash });
    },
  };
}
