import type { Floor } from '@fleet/protocol/api/trust.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { keyIdOf, publicKeyFrom } from '@fleet/trust/keys.ts';
import type { TrustChanges } from '../signing/changes.ts';
import type { FloorRecord } from '../store/floors.ts';
import type { Handlers, Served } from './handlers.ts';
import { isIn } from './reach.ts';

type Routes = 'trust.show' | 'trust.key' | 'trust.replace' | 'floors.list' | 'floors.set' | 'signatures.add';

export function trust(served: Served): Handlers<Routes> {
  const { store, now } = served;
  const changes = (): TrustChanges => {
    if (served.trust) return served.trust;
    throw new FleetError('not_initialised', 'this controller runs in development, where nothing is signed', {
      next: 'fleet init controller makes its keys',
    });
  };
  /** One change after the other: each looks at what the one before has left. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work, work);
    last = mine;
    return mine;
  };
  return {
    'trust.show': async ({ who }) => {
      const { signing } = changes();
      const unsigned = (await changes().unsigned()).filter(({ service }) =>
        isIn(who, { service, environment: null }),
      );
      return {
        root: keyIdOf(publicKeyFrom(signing.root)),
        rootKey: signing.root,
        trust: signing.trust(),
        unsigned: unsigned.map(({ service, version }) => ({ service, version })),
      };
    },
    'trust.key': async () => ({ key: changes().signing.makeKey() }),
    'trust.replace': async ({ body }) => {
      const told = await inTurn(() => changes().replace(body.trust));
      const { serial, level } = body.trust.statement;
      return { serial, level, ...told };
    },
    'floors.list': async ({ who }) =>
      (await store.floors.list())
        .map(floorOf)
        .filter(({ service }) => isIn(who, { service, environment: null })),
    'floors.set': async ({ body: { why, ...wanted }, by }) => {
      const said = { why, by, at: new Date(now()).toISOString() };
      const { floor, ...told } = await inTurn(() => changes().setFloor(wanted, said));
      return { floor: floorOf(floor), ...told };
    },
    'signatures.add': ({ body }) => inTurn(() => changes().addSignatures(body.signed)),
  };
}

function floorOf({ signed, why, by, at }: FloorRecord): Floor {
  const { service, version } = signed.statement;
  return { service, version, why, by, at, signed };
}
