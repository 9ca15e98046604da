/** What the hosts are told of who may sign and what is too old: when they connect, and when something has changed. */
import type { Hello } from '@fleet/protocol/messages/hello.ts';
import type { AgentMethods, Request } from '@fleet/protocol/messages/methods.ts';
import { MOST_SIGNATURES } from '@fleet/protocol/messages/trust.ts';
import type { SignedRelease } from '@fleet/protocol/trust.ts';
import { isSigner } from '@fleet/trust/release.ts';
import type { Store } from '../store/store.ts';
import type { Signing } from './signing.ts';

type Update = Request<AgentMethods, 'trust.update'>;

/**
 * What this host may lack. Nothing for one in development, and for one that has a later document than the controller: it would
 * refuse an older one.
 */
export async function updatesFor(
  { trust: has, services }: Pick<Hello, 'trust' | 'services'>,
  { artifacts, floors }: Pick<Store, 'artifacts' | 'floors'>,
  signing: Signing,
): Promise<Update[]> {
  const trust = signing.trust();
  if (has === undefined || has.serial > trust.statement.serial) return [];
  const lacking = (await floors.list())
    .map(({ signed }) => signed)
    .filter((signed) => isSigner(trust.statement, signed))
    .filter(({ statement }) => statement.notBefore > (has.floors[statement.service] ?? -1));
  const releases: SignedRelease[] = [];
  for (const { service } of services)
    for (const { signature } of await artifacts.list(service))
      if (signature && isSigner(trust.statement, signature)) releases.push(signature);
  const updates: Update[] = [];
  for (let from = 0; from === 0 || from < releases.length; from += MOST_SIGNATURES)
    updates.push({ trust, floors: lacking, releases: releases.slice(from, from + MOST_SIGNATURES) });
  return updates;
}
