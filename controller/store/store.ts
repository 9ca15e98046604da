/** The store: one database, one member a table. All SQL is in this folder. */
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import { Artifacts } from './artifacts.ts';
import { Audit } from './audit.ts';
import { Builds } from './builds.ts';
import { Deployments } from './deployments.ts';
import { Events } from './events.ts';
import type { OnBroken } from './faults.ts';
import { Floors } from './floors.ts';
import { Hidden } from './hidden.ts';
import { Hosts } from './hosts.ts';
import { Identities } from './identities.ts';
import { Interruptions } from './interruptions.ts';
import { JoinTokens } from './joinTokens.ts';
import { Locks } from './locks.ts';
import { type OpenedStore, openStore } from './open.ts';
import { OutHosts } from './outHosts.ts';
import { Rehearsals } from './rehearsals.ts';
import { RollbackPoints } from './rollbackPoints.ts';
import { Steps } from './steps.ts';
import { Tokens } from './tokens.ts';

export interface Store extends Omit<OpenedStore, 'db'> {
  artifacts: Artifacts;
  audit: Audit;
  builds: Builds;
  deployments: Deployments;
  events: Events;
  floors: Floors;
  hidden: Hidden;
  hosts: Hosts;
  identities: Identities;
  interruptions: Interruptions;
  joinTokens: JoinTokens;
  locks: Locks;
  outHosts: OutHosts;
  rehearsals: Rehearsals;
  rollbackPoints: RollbackPoints;
  steps: Steps;
  tokens: Tokens;
}

/** See `openStore`. `known`: what no event may tell. */
export async function createStore(
  file: string,
  onBroken?: OnBroken,
  known = new KnownSecrets(),
): Promise<Store> {
  const opened = await openStore(file, onBroken);
  const { db } = opened;
  const events = new Events(db, known);
  return {
    fleet: opened.fleet,
    fingerprintKey: opened.fingerprintKey,
    get epoch() {
      return opened.epoch;
    },
    restoredFrom: opened.restoredFrom,
    raiseEpochAbove: opened.raiseEpochAbove,
    copyTo: opened.copyTo,
    close: opened.close,
    artifacts: new Artifacts(db),
    audit: new Audit(db),
    builds: new Builds(db, events),
    deployments: new Deployments(db, events),
    events,
    floors: new Floors(db),
    hidden: new Hidden(db),
    hosts: new Hosts(db),
    identities: new Identities(db),
    interruptions: new Interruptions(db, events),
    joinTokens: new JoinTokens(db),
    locks: new Locks(db),
    outHosts: new OutHosts(db),
    rehearsals: new Rehearsals(db, events),
    rollbackPoints: new RollbackPoints(db),
    steps: new Steps(db, events),
    tokens: new Tokens(db),
  };
}
