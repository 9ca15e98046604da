/** How a host joins: it looks who answers before it says anything, makes its key here, and keeps what it gets. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Enrolled } from '@fleet/protocol/api/enrolment.ts';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Labels } from '@fleet/protocol/words.ts';
import { bearerId } from '@fleet/trust/bearer.ts';
import { readGuarded, writeGuarded } from '@fleet/trust/guarded.ts';
import { readJoinString } from '@fleet/trust/joinString.ts';
import {
  type KeyPair,
  keyIdOf,
  keyPairFrom,
  makeTlsKey,
  privatePem,
  publicKeyFrom,
} from '@fleet/trust/keys.ts';
import { meetAuthority } from '@fleet/trust/meet.ts';
import { proveToCertify, proveToJoin } from '@fleet/trust/proofs.ts';
import { isSignedBy } from '@fleet/trust/signed.ts';
import { type Joined, readJoined, writeJoined } from '../trust/joined.ts';
import { pinTrust } from '../trust/trust.ts';
import { askToEnrol, timeAt } from './ask.ts';

/** More than this, and certificates that hold for days are told apart wrongly. */
const CLOCKS_MS = 5 * 60_000;
const APPROVED_MS = 2000;
/** Before the id of the token that a key is to join with. */
const PENDING = 'joining-';

export interface JoinOptions {
  string: string;
  /** Undefined where the token says it. */
  host: string | undefined;
  /** The agent's data directory. */
  data: string;
  /** Also where this host has joined before. */
  again: boolean;
  /** Throws `policy_refused`: asked before the token is spent. */
  admitLabels(host: string | undefined, labels: Labels): void;
  /** Milliseconds since 1970. */
  now(): number;
  /** It waits until a person lets it in, who can compare the name of its key. */
  onWaiting(host: string, key: string): void;
  signal: AbortSignal;
}

/** Throws `bad_request`, `wrong_authority`, `clock_off`, `bad_token`, `name_in_use`, `policy_refused`, `not_enrolled`. */
export async function joinFleet(options: JoinOptions): Promise<Joined> {
  const { host, data, now } = options;
  const { url, token, ca: caKeyId, root: rootKeyId, labels = {} } = readJoinString(options.string);
  const id = bearerId('fleetjoin', token);
  if (id === undefined)
    throw new FleetError('bad_request', 'this string is for a person, not for a host that joins', {
      next: 'fleet token create prints one for a host; with this one: fleet login',
    });
  const folder = join(data, 'trust');
  const before = readJoined(folder);
  if (before !== undefined && !options.again)
    throw new FleetError('bad_request', `this host has joined as ${before.host} already`, {
      next: 'start its agent; or, to join anew with another key: fleet agent join --again',
    });
  options.admitLabels(host, labels);
  const ca = await meetAuthority(url, caKeyId);
  await compareClocks(url, now());

  const keys = keptKey(data, id);
  let said = await askToEnrol(url, ca, 'agents.join', { token, proof: proveToJoin(keys, id, host ?? null) });
  if (said.state === 'waiting') options.onWaiting(said.host, keyIdOf(keys.publicKey));
  while (said.state === 'waiting') {
    await sleep(APPROVED_MS, undefined, { signal: options.signal });
    said = await askToEnrol(url, ca, 'agents.certify', { proof: proveToCertify(keys, now()) });
  }
  refuseOtherRoot(said, rootKeyId, url);
  options.admitLabels(said.host, said.labels);
  pinTrust(folder, said.root, said.trust);
  const agents = `wss://${new URL(url).hostname}:${said.port}${AGENT_PATH}`;
  writeJoined(folder, { ...said, url, agents, keyPem: privatePem(keys.privateKey) });
  dropKeys(data);
  return readJoined(folder)!;
}

/**
 * One key for one token: where the answer to the first try was lost, the same key may ask again with the same token. With another
 * token it is another key, because the first one may have been turned away for good.
 */
function keptKey(data: string, token: string): KeyPair {
  const path = join(data, `${PENDING}${token}`);
  const kept = readGuarded(path);
  if (kept !== undefined) return keyPairFrom(kept, path);
  mkdirSync(data, { recursive: true, mode: 0o700 });
  dropKeys(data);
  const made = makeTlsKey();
  writeGuarded(path, privatePem(made.privateKey));
  return made;
}

function dropKeys(data: string): void {
  for (const name of readdirSync(data)) if (name.startsWith(PENDING)) rmSync(join(data, name));
}

async function compareClocks(url: string, here: number): Promise<void> {
  const there = await timeAt(url);
  if (Math.abs(there - here) <= CLOCKS_MS) return;
  const iso = (time: number) => new Date(time).toISOString();
  throw new FleetError(
    'clock_off',
    `it is ${iso(here)} on this host, and ${iso(there)} where the controller is: certificates would not hold`,
    {
      next: 'set the clock that is wrong, such as with: timedatectl set-ntp true; then join, the token is still good',
    },
  );
}

/** Who may sign is believed of nobody but the key that the join string names. */
function refuseOtherRoot(
  { root, trust }: Extract<Enrolled, { state: 'active' }>,
  rootKeyId: string,
  url: string,
): void {
  if (keyIdOf(publicKeyFrom(root)) === rootKeyId && isSignedBy(trust, [root])) return;
  throw new FleetError(
    'wrong_authority',
    `the controller at ${url} names another root key than the join string`,
    {
      next: 'make a new join string with fleet token create; if it is the same again, somebody has been at the controller',
    },
  );
}
