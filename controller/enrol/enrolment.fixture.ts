/** An enrolment over a store of its own, with a clock that a test moves, and hosts that join it. */
import { join } from 'node:path';
import { bearerId } from '@fleet/trust/bearer.ts';
import { readJoinString } from '@fleet/trust/joinString.ts';
import { type KeyPair, makeTlsKey } from '@fleet/trust/keys.ts';
import { proveToCertify, proveToJoin } from '@fleet/trust/proofs.ts';
import { openSigning } from '../signing/signing.ts';
import type { Store } from '../store/store.ts';
import { openTrust } from '../trust/folder.ts';
import { makeTrust } from '../trust/make.ts';
import { Enrolment, type EnrolmentOptions } from './enrolment.ts';

export const URL_OF_PEOPLE = 'https://127.0.0.1:7300';

/** `dir` is empty. The clock begins at the real time. */
export async function enrolmentIn(
  dir: string,
  store: Pick<Store, 'identities' | 'joinTokens'>,
  more: Partial<EnrolmentOptions> = {},
) {
  const clock = { now: Date.now() };
  const data = join(dir, 'data');
  await makeTrust(data, join(dir, 'controller.yaml'), clock.now);
  const trust = await openTrust(data, () => clock.now, 'controller.yaml');
  const enrolment = new Enrolment({
    store,
    trust,
    signing: openSigning(data, () => clock.now)!,
    clock: () => clock.now,
    agentsPort: () => 7301,
    sweep: async () => {},
    ...more,
  });
  return { enrolment, trust, clock };
}

/** The text of a token's secret, made with these wishes. */
export async function tokenOf(
  enrolment: Enrolment,
  wishes: Partial<Parameters<Enrolment['createToken']>[0]> = {},
): Promise<string> {
  const { joinString } = await enrolment.createToken(
    { labels: { role: 'web' }, uses: 1, ttlMs: 15 * 60_000, approve: false, url: URL_OF_PEOPLE, ...wishes },
    'ann',
  );
  return readJoinString(joinString).token;
}

/** What a host sends to join: its own key, and a proof of it. */
export function joinBody(token: string, host: string | null, keys: KeyPair = makeTlsKey()) {
  return { token, proof: proveToJoin(keys, bearerId('fleetjoin', token) ?? '0'.repeat(16), host) };
}

export function certifyBody(keys: KeyPair, at: number) {
  return { proof: proveToCertify(keys, at) };
}
