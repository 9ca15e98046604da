/** What a route's handler is given and gives: typed over the table of routes, so that a route without a handler does not compile. */
import type { Body, Params, Query, Reply, RouteName } from '@fleet/protocol/api/routes.ts';
import type { Backups } from '../backup/backups.ts';
import type { CatchUp } from '../deploy/catchUp.ts';
import type { Deps } from '../deploy/context.ts';
import type { Deployer } from '../deploy/deployer.ts';
import type { Enrolment } from '../enrol/enrolment.ts';
import type { Person } from '../people/people.ts';
import type { Sessions } from '../people/sessions.ts';
import type { Programs } from '../programs/programs.ts';
import type { TrustChanges } from '../signing/changes.ts';

export interface Asked<N extends RouteName> {
  params: Params<N>;
  query: Query<N>;
  body: Body<N>;
  /** Where a route takes something else than JSON. */
  upload: AsyncIterable<Buffer>;
  /** Who asks, and their name. */
  who: Person;
  by: string;
  /** The address that it came from. */
  from: string;
}
export type Handler<N extends RouteName> = (asked: Asked<N>) => Promise<Reply<N>>;
export type Handlers<N extends RouteName = RouteName> = { [K in N]: Handler<K> };

/** What the API needs of the controller. */
export interface Serving
  extends Pick<
    Deps,
    'store' | 'config' | 'agents' | 'balancer' | 'outputs' | 'secrets' | 'clock' | 'log' | 'parking' | 'turns'
  > {
  deployer: Deployer;
  catchUp: CatchUp;
  /** The balancers are told which hosts there are. */
  refreshBalancers(): Promise<void>;
  backups: Backups;
  programs: Pick<Programs, 'list' | 'open'>;
  /** Absent in development: nobody is asked who they are. */
  enrolment: Enrolment | undefined;
  /** Null in development, where nothing is signed. */
  trust: TrustChanges | null;
  startedAt: Date;
  /** Whom builds run as, in plain words. */
  builds: string;
  version: string;
}
/** And what a handler needs of the API. */
export interface Served extends Serving {
  sessions: Sessions;
  /** Milliseconds since 1970. */
  now(): number;
}
