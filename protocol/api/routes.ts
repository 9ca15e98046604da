/** Every HTTP route there is. Server and client are both typed over this table: what is not in it does not exist. */
import type { z } from 'zod';
import type { Access } from '../access.ts';
import * as audit from './audit.ts';
import * as backups from './backups.ts';
import * as builds from './builds.ts';
import * as deployments from './deployments.ts';
import * as doctor from './doctor.ts';
import * as enrolment from './enrolment.ts';
import { stream } from './events.ts';
import * as fleet from './fleet.ts';
import * as people from './people.ts';
import * as profiles from './profiles.ts';
import * as programs from './programs.ts';
import * as rehearsals from './rehearsals.ts';
import * as trust from './trust.ts';

export interface Route {
  /** Who may: see access.ts. A route without it does not compile. */
  access: Access;
  method: 'GET' | 'POST' | 'DELETE';
  /** With `:params`. */
  path: string;
  summary: string;
  params?: z.ZodType;
  query?: z.ZodType;
  body?: z.ZodType;
  /** The content type of a body that is no JSON: it is read as it comes. */
  takes?: string;
  /** The content type of a reply that is no JSON: a `Download`. */
  gives?: string;
  reply: z.ZodType;
}

export const ROUTES = {
  'status.show': {
    access: 'viewer',
    method: 'GET',
    path: '/api/status',
    summary: 'What runs where',
    ...fleet.status,
  },
  'hosts.list': {
    access: 'viewer',
    method: 'GET',
    path: '/api/hosts',
    summary: 'Hosts that have an agent',
    ...fleet.hosts,
  },
  'hosts.show': {
    access: 'viewer',
    method: 'GET',
    path: '/api/hosts/:host',
    summary: 'One host, and what its own agent.yaml lets be done on it',
    ...fleet.showHost,
  },
  'hosts.examine': {
    access: 'viewer',
    method: 'GET',
    path: '/api/hosts/:host/doctor',
    summary: 'A look at one host from both ends of its link: what is well, and what is not',
    ...doctor.examine,
  },
  'hosts.forget': {
    access: 'admin',
    method: 'DELETE',
    path: '/api/hosts/:host',
    summary: 'Forget a host that is gone',
    ...fleet.forget,
  },
  'hosts.out': {
    access: 'deployer',
    method: 'POST',
    path: '/api/hosts/:host/out',
    summary: 'Take a host out: no balancer shows it, and deployments pass it by',
    ...fleet.takeOut,
  },
  'hosts.in': {
    access: 'deployer',
    method: 'POST',
    path: '/api/hosts/:host/in',
    summary: 'Let a host in again: it catches up, and is shown once it is well',
    ...fleet.letIn,
  },
  'hosts.remove': {
    access: 'admin',
    method: 'POST',
    path: '/api/hosts/:host/remove',
    summary: 'Take a host off the fleet: hidden, stopped, cut off and forgotten',
    ...fleet.remove,
  },
  'hosts.approve': {
    access: 'admin',
    method: 'POST',
    path: '/api/hosts/:host/approve',
    summary: 'Let in a host that waits for it',
    ...enrolment.approve,
  },
  'hosts.revoke': {
    access: 'admin',
    method: 'POST',
    path: '/api/hosts/:host/revoke',
    summary: 'Cut off a host: its certificate is good for nothing any more',
    ...enrolment.revoke,
  },
  'identities.list': {
    access: 'viewer',
    method: 'GET',
    path: '/api/identities',
    summary: 'Hosts that have joined, and those that wait to be let in',
    ...enrolment.identities,
  },
  'joining.create': {
    access: 'admin',
    method: 'POST',
    path: '/api/join-tokens',
    summary: 'Make a token with which hosts can join',
    ...enrolment.createToken,
  },
  'joining.list': {
    access: 'admin',
    method: 'GET',
    path: '/api/join-tokens',
    summary: 'Tokens with which hosts can join',
    ...enrolment.tokens,
  },
  'joining.revoke': {
    access: 'admin',
    method: 'DELETE',
    path: '/api/join-tokens/:id',
    summary: 'End a token with which hosts can join',
    ...enrolment.revokeToken,
  },
  'profiles.list': {
    access: 'admin',
    method: 'GET',
    path: '/api/profiles',
    summary: 'What new hosts can become',
    ...profiles.list,
  },
  'profiles.show': {
    access: 'admin',
    method: 'GET',
    path: '/api/profiles/:profile',
    summary: 'All that makes a host one of a profile, with the content of its files',
    ...profiles.show,
  },
  'agents.join': {
    access: 'key',
    method: 'POST',
    path: '/api/agents/join',
    summary: 'A host joins, with its join token and a key that it made',
    ...enrolment.join,
  },
  'agents.certify': {
    access: 'key',
    method: 'POST',
    path: '/api/agents/certify',
    summary: 'A host that has joined asks for a certificate, by its signature',
    ...enrolment.certify,
  },
  'logs.read': {
    access: 'viewer',
    method: 'GET',
    path: '/api/services/:service/hosts/:host/log',
    summary: 'What a service printed on a host',
    ...fleet.logs,
  },
  'builds.start': {
    access: 'deployer',
    method: 'POST',
    path: '/api/builds',
    summary: 'Build a version',
    ...builds.build,
  },
  'builds.show': {
    access: 'viewer',
    method: 'GET',
    path: '/api/builds/:id',
    summary: 'How a build stands',
    ...builds.buildState,
  },
  'releases.list': {
    access: 'viewer',
    method: 'GET',
    path: '/api/releases',
    summary: 'Versions that have been built',
    ...builds.list,
  },
  'releases.push': {
    access: 'deployer',
    method: 'POST',
    path: '/api/releases',
    summary: 'Bring a release that another machine has built and signed',
    ...builds.push,
  },
  'plans.make': {
    access: 'viewer',
    method: 'POST',
    path: '/api/plans',
    summary: 'What a deployment would do; stores nothing',
    ...deployments.plan,
  },
  'deployments.start': {
    access: 'deployer',
    method: 'POST',
    path: '/api/deployments',
    summary: 'Deploy',
    ...deployments.start,
  },
  'deployments.rollback': {
    access: 'deployer',
    method: 'POST',
    path: '/api/rollbacks',
    summary: 'Go back to a version that ran before',
    ...deployments.rollback,
  },
  'deployments.list': {
    access: 'viewer',
    method: 'GET',
    path: '/api/deployments',
    summary: 'Deployments, newest first',
    ...deployments.list,
  },
  'deployments.show': {
    access: 'viewer',
    method: 'GET',
    path: '/api/deployments/:id',
    summary: 'One deployment with its steps and recap',
    ...deployments.show,
  },
  'deployments.pause': {
    access: 'deployer',
    method: 'POST',
    path: '/api/deployments/:id/pause',
    summary: 'Wait at the next safe point',
    ...deployments.ask,
  },
  'deployments.resume': {
    access: 'deployer',
    method: 'POST',
    path: '/api/deployments/:id/resume',
    summary: 'Go on after a pause',
    ...deployments.ask,
  },
  'deployments.abort': {
    access: 'deployer',
    method: 'POST',
    path: '/api/deployments/:id/abort',
    summary: 'Stop at the next safe point',
    ...deployments.ask,
  },
  'deployments.skip': {
    access: 'deployer',
    method: 'POST',
    path: '/api/deployments/:id/skip',
    summary: 'Count an interrupted hook as done, and go on',
    ...deployments.skip,
  },
  'deployments.retry': {
    access: 'deployer',
    method: 'POST',
    path: '/api/deployments/:id/retry',
    summary:
      'Run an interrupted hook again; after the end, deploy the same version to the hosts that did not succeed',
    ...deployments.retry,
  },
  'deployments.output': {
    access: 'viewer',
    method: 'GET',
    path: '/api/deployments/:id/steps/:step/output',
    summary: 'What a step’s programs printed',
    ...deployments.stepOutput,
  },
  'trust.show': {
    access: 'viewer',
    method: 'GET',
    path: '/api/trust',
    summary: 'Who may sign releases',
    ...trust.show,
  },
  'trust.key': {
    access: 'admin',
    method: 'POST',
    path: '/api/trust/key',
    summary: 'Make the controller’s next release key, which holds once a document names it',
    ...trust.makeKey,
  },
  'trust.replace': {
    access: 'admin',
    method: 'POST',
    path: '/api/trust',
    summary: 'Replace the document that says who may sign; the root key has signed it',
    ...trust.replace,
  },
  'floors.list': {
    access: 'viewer',
    method: 'GET',
    path: '/api/floors',
    summary: 'The oldest release of each service that is still good',
    ...trust.floors,
  },
  'floors.set': {
    access: 'admin',
    method: 'POST',
    path: '/api/floors',
    summary: 'Refuse releases of a service that are older than a version',
    ...trust.setFloor,
  },
  'signatures.add': {
    access: 'deployer',
    method: 'POST',
    path: '/api/signatures',
    summary: 'Add signatures that another machine made for releases on the shelf',
    ...trust.addSignatures,
  },
  // Which versions there are, whoever deploys has to know; the bytes are for putting fleet on new hosts, which an admin alone
  // can let in.
  'programs.list': {
    access: 'deployer',
    method: 'GET',
    path: '/api/programs',
    summary: 'Fleet’s own programs, as hosts get them',
    ...programs.list,
  },
  'programs.fetch': {
    access: 'admin',
    method: 'GET',
    path: '/api/programs/:service/:version/:part',
    summary: 'A file of one of fleet’s own programs, to put it on a host',
    ...programs.fetch,
  },
  'rehearsals.begin': {
    access: 'admin',
    method: 'POST',
    path: '/api/rehearsals',
    summary: 'Write down that a profile is tried on a borrowed machine',
    ...rehearsals.begin,
  },
  'rehearsals.end': {
    access: 'admin',
    method: 'POST',
    path: '/api/rehearsals/:id/end',
    summary: 'Keep what came of a rehearsal, and tell it',
    ...rehearsals.end,
  },
  'rehearsals.list': {
    access: 'viewer',
    method: 'GET',
    path: '/api/rehearsals',
    summary: 'Rehearsals, newest first',
    ...rehearsals.list,
  },
  'rehearsals.show': {
    access: 'viewer',
    method: 'GET',
    path: '/api/rehearsals/:id',
    summary: 'One rehearsal: times, packages, what was not well',
    ...rehearsals.show,
  },
  'backups.start': {
    access: 'admin',
    method: 'POST',
    path: '/api/backups',
    summary: 'Back up the controller into a new folder on its machine',
    ...backups.start,
  },
  'backups.show': {
    access: 'admin',
    method: 'GET',
    path: '/api/backups/:id',
    summary: 'How a backup stands',
    ...backups.show,
  },
  'people.me': {
    access: 'viewer',
    method: 'GET',
    path: '/api/me',
    summary: 'Who this token says that one is',
    ...people.me,
  },
  'people.list': {
    access: 'admin',
    method: 'GET',
    path: '/api/people',
    summary: 'People and programs that have a token',
    ...people.list,
  },
  'people.add': {
    access: 'admin',
    method: 'POST',
    path: '/api/people',
    summary: 'Give a person or a program a token, with no more than one has',
    ...people.add,
  },
  'people.revoke': {
    access: 'admin',
    method: 'DELETE',
    path: '/api/people/:name',
    summary: 'End somebody’s token, and what is open with it',
    ...people.revoke,
  },
  'audit.list': {
    access: 'admin',
    method: 'GET',
    path: '/api/audit',
    summary: 'What was done, by whom, when, from where',
    ...audit.list,
  },
  'audit.verify': {
    access: 'admin',
    method: 'GET',
    path: '/api/audit/verify',
    summary: 'Whether the audit log is as it was written',
    ...audit.verify,
  },
} as const satisfies Record<string, Route>;

export type Routes = typeof ROUTES;
export type RouteName = keyof Routes;
type Part<R, K extends string> = R extends Record<K, z.ZodType> ? z.infer<R[K]> : undefined;
export type Params<N extends RouteName> = Part<Routes[N], 'params'>;
export type Query<N extends RouteName> = Part<Routes[N], 'query'>;
export type Body<N extends RouteName> = Part<Routes[N], 'body'>;
export type Reply<N extends RouteName> = Part<Routes[N], 'reply'>;
/** What a caller writes: before defaults. */
type Input<R, K extends string> = R extends Record<K, z.ZodType> ? z.input<R[K]> : undefined;
export type BodyInput<N extends RouteName> = Input<Routes[N], 'body'>;
export type QueryInput<N extends RouteName> = Input<Routes[N], 'query'>;

/** What is asked for like a route and answered otherwise: a stream that stays open, and the pages that show all this. */
export const EVENTS = {
  access: 'viewer',
  path: '/api/events',
  summary: 'What happens, as server-sent events',
  ...stream,
} as const satisfies Pick<Route, 'access' | 'path' | 'summary' | 'query'>;
export const DOCS = { access: 'viewer', path: '/docs' } as const satisfies Pick<Route, 'access' | 'path'>;
/** Where agents open their WebSocket. */
export const AGENT_PATH = '/agent';
/** Who asks, where nobody is asked who they are: in development. */
export const BY_HEADER = 'x-fleet-by';
