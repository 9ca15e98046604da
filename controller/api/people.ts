import { mayAct, reaches } from '@fleet/protocol/access.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { FLEET } from '../deploy/catchUp.ts';
import { giveToken } from '../people/people.ts';
import type { TokenRecord } from '../store/tokens.ts';
import type { Handlers, Served } from './handlers.ts';

export function people({
  store: { tokens },
  sessions,
  now,
}: Served): Handlers<'people.me' | 'people.list' | 'people.add' | 'people.revoke'> {
  return {
    'people.me': async ({ who: { token: _, ...person } }) => person,
    'people.list': async ({ who }) =>
      (await tokens.list())
        .filter((token) => reaches(who, token))
        .map(({ id: _id, hash: _hash, revoked: _revoked, ...row }) => row),
    'people.add': async ({ who, body: { ttl, ...wanted } }) => {
      if (!mayAct(who.role, wanted.role) || !reaches(who, wanted))
        throw new FleetError('forbidden', `${who.name} can give no more than it has: ${describe(who)}`, {
          next: 'give a lower role or a narrower scope (--service, -e), or ask somebody who has more',
        });
      if (wanted.name === FLEET)
        throw new FleetError('person_exists', `${FLEET} is what the history calls the controller itself`, {
          next: 'take another name',
        });
      const expires = new Date(now() + ttl).toISOString();
      return { token: await giveToken(tokens, { ...wanted, expires, by: who.name }), expires };
    },
    'people.revoke': async ({ who, params: { name } }) => {
      const all = await tokens.list();
      const token = all.find((each) => each.name === name);
      if (token === undefined)
        throw new FleetError('unknown_person', `nobody named ${name} has a token`, {
          next: 'fleet people list lists them',
        });
      if (!reaches(who, token))
        throw new FleetError('forbidden', `${name} reaches further than ${who.name}: ${describe(token)}`, {
          next: 'ask somebody who has more',
        });
      const revoked = await tokens.revoke(name);
      await sessions.sweep();
      return {
        revoked,
        gave: all.filter((each) => each.by === name && each.name !== name).map((each) => each.name),
      };
    },
  };
}

function describe({
  role,
  services,
  environments,
}: Pick<TokenRecord, 'role' | 'services' | 'environments'>): string {
  return `${role}, services ${services?.join(', ') ?? 'all'}, environments ${environments?.join(', ') ?? 'all'}`;
}
