/** The store: one database, one member a table. All SQL is in this folder. */
import { Artifacts } from './artifacts.ts';
import { Builds } from './builds.ts';
import { Deployments } from './deployments.ts';
import { Events } from './events.ts';
import { Hidden } from './hidden.ts';
import { Hosts } from './hosts.ts';
import { Locks } from './locks.ts';
import { type OpenedStore, openStore } from './open.ts';
import { RollbackPoints } from './rollbackPoints.ts';
import { Steps } from './steps.ts';

export interface Store extends Pick<OpenedStore, 'fleet' | 'epoch' | 'close'> {
  artifacts: Artifacts;
  builds: Builds;
  deployments: Deployments;
  events: Events;
  hidden: Hidden;
  hosts: Hosts;
  locks: Locks;
  rollbackPoints: RollbackPoints;
  steps: Steps;
}

export async function createStore(file: string): Promise<Store> {
  const { db, fleet, epoch, close } = await openStore(file);
  const events = new Events(db);
  return {
    fleet,
    epoch,
    close,
    artifacts: new Artifacts(db),
    builds: new Builds(db, events),
    deployments: new Deployments(db, events),
    events,
    hidden: new Hidden(db),
    hosts: new Hosts(db),
    locks: new Locks(db),
    rollbackPoints: new RollbackPoints(db),
    steps: new Steps(db, events),
  };
}
