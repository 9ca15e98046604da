/** For tests of the API: how it is asked, and a call of every route. */
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RouteName } from '@fleet/protocol/api/routes.ts';
import { makeTlsKey } from '@fleet/trust/keys.ts';
import { NEW, OLD } from '../deploy/fleet.fixture.ts';
import { certifyBody, joinBody } from '../enrol/enrolment.fixture.ts';
import { AGENT_VERSION } from '../programs/programs.fixture.ts';
import { Keys } from '../signing/keys.fixture.ts';

export interface Asked {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
  /** As it is, where it is not JSON. */
  raw?: string;
}

export async function ask(port: number, { method = 'GET', path, headers = {}, body, raw }: Asked) {
  const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const asking = request({
    port,
    host: '127.0.0.1',
    method,
    path,
    headers: {
      ...(content !== undefined && {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(content)),
      }),
      ...headers,
    },
  });
  asking.end(content);
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  const json: unknown = text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : undefined;
  return { status: response.statusCode, headers: response.headers, json };
}

export const KEYS = new Keys();
/** What is made for one controller, and so filled in when there is one: proofs for a token, signatures of what it has. */
export const joining = { keys: makeTlsKey(), token: '', tokenId: '0'.repeat(16), signed: [] as unknown[] };

const REHEARSED = { succeeded: true, phases: [], facts: null, findings: [], services: [] };

/** One good call of each route, and one of something that there is not. A route that is not here does not compile. */
export const CALLS: Record<RouteName, { good: Omit<Asked, 'method'>; unknown?: Omit<Asked, 'method'> }> = {
  'status.show': { good: { path: '/api/status?service=segmenter' } },
  'profiles.list': { good: { path: '/api/profiles' } },
  'profiles.show': { good: { path: '/api/profiles/web' }, unknown: { path: '/api/profiles/nothing' } },
  'hosts.list': { good: { path: '/api/hosts' } },
  'hosts.show': { good: { path: '/api/hosts/a' }, unknown: { path: '/api/hosts/nobody' } },
  'hosts.examine': { good: { path: '/api/hosts/a/doctor' }, unknown: { path: '/api/hosts/nobody/doctor' } },
  'hosts.forget': { good: { path: '/api/hosts/c' }, unknown: { path: '/api/hosts/nobody' } },
  'hosts.out': {
    good: { path: '/api/hosts/b/out', body: { why: 'a disk is slow' } },
    unknown: { path: '/api/hosts/nobody/out', body: { why: 'a disk is slow' } },
  },
  'hosts.in': {
    good: { path: '/api/hosts/b/in', body: {} },
    unknown: { path: '/api/hosts/nobody/in', body: {} },
  },
  'hosts.remove': {
    good: { path: '/api/hosts/c/remove', body: { why: 'its contract ends' } },
    unknown: { path: '/api/hosts/nobody/remove', body: { why: 'its contract ends' } },
  },
  'hosts.approve': {
    good: { path: '/api/hosts/newcomer/approve' },
    unknown: { path: '/api/hosts/nobody/approve' },
  },
  'hosts.revoke': {
    good: { path: '/api/hosts/newcomer/revoke' },
    unknown: { path: '/api/hosts/nobody/revoke' },
  },
  'identities.list': { good: { path: '/api/identities' } },
  'joining.create': {
    good: { path: '/api/join-tokens', body: { labels: { role: 'web' }, url: 'https://127.0.0.1:7300' } },
  },
  'joining.list': { good: { path: '/api/join-tokens' } },
  'joining.revoke': {
    good: {
      get path() {
        return `/api/join-tokens/${joining.tokenId}`;
      },
    },
    unknown: { path: `/api/join-tokens/${'0'.repeat(16)}` },
  },
  'agents.join': {
    good: {
      path: '/api/agents/join',
      get body() {
        return joinBody(joining.token, 'joins', joining.keys);
      },
    },
    unknown: {
      path: '/api/agents/join',
      body: joinBody(`fleetjoin_${'0'.repeat(16)}_${'A'.repeat(43)}`, 'nobody'),
    },
  },
  'agents.certify': {
    good: {
      path: '/api/agents/certify',
      get body() {
        return certifyBody(joining.keys, Date.now());
      },
    },
    unknown: {
      path: '/api/agents/certify',
      get body() {
        return certifyBody(makeTlsKey(), Date.now());
      },
    },
  },
  'logs.read': {
    good: { path: '/api/services/segmenter/hosts/a/log?lines=5' },
    unknown: { path: '/api/services/segmenter/hosts/nobody/log' },
  },
  'builds.start': {
    good: { path: '/api/builds', body: { service: 'segmenter' } },
    unknown: { path: '/api/builds', body: { service: 'nothing' } },
  },
  'builds.show': { good: { path: '/api/builds/1' }, unknown: { path: '/api/builds/999' } },
  'releases.list': { good: { path: '/api/releases?service=segmenter' } },
  // Takes no JSON: receive.test.ts says what it takes.
  'releases.push': { good: { path: '/api/releases' } },
  'plans.make': {
    good: { path: '/api/plans', body: { service: 'segmenter', version: NEW } },
    unknown: { path: '/api/plans', body: { service: 'segmenter', version: '9.9.9' } },
  },
  'deployments.start': {
    good: { path: '/api/deployments', body: { service: 'segmenter', version: NEW } },
    unknown: { path: '/api/deployments', body: { service: 'segmenter', version: NEW, hosts: ['nobody'] } },
  },
  'deployments.rollback': {
    good: { path: '/api/rollbacks', body: { service: 'segmenter', to: OLD } },
    unknown: { path: '/api/rollbacks', body: { service: 'segmenter', to: '9.9.9' } },
  },
  'deployments.list': { good: { path: '/api/deployments?limit=5&service=segmenter' } },
  'deployments.show': { good: { path: '/api/deployments/1' }, unknown: { path: '/api/deployments/999' } },
  'deployments.abort': {
    good: { path: '/api/deployments/4/abort', body: { why: 'a mistake' } },
    unknown: { path: '/api/deployments/999/abort', body: {} },
  },
  'deployments.pause': {
    good: { path: '/api/deployments/4/pause', body: { why: 'to look first' } },
    unknown: { path: '/api/deployments/999/pause', body: {} },
  },
  'deployments.resume': {
    good: { path: '/api/deployments/4/resume', body: {} },
    unknown: { path: '/api/deployments/999/resume', body: {} },
  },
  'deployments.skip': {
    good: { path: '/api/deployments/5/skip', body: { why: 'it was done', host: 'a' } },
    unknown: { path: '/api/deployments/999/skip', body: {} },
  },
  'deployments.retry': {
    good: { path: '/api/deployments/1/retry', body: { why: 'once more' } },
    unknown: { path: '/api/deployments/999/retry', body: {} },
  },
  'trust.show': { good: { path: '/api/trust' } },
  'trust.key': { good: { path: '/api/trust/key' } },
  'trust.replace': {
    good: { path: '/api/trust', body: { trust: KEYS.trust(2) } },
    unknown: { path: '/api/trust', body: { trust: KEYS.trust(1) } },
  },
  'floors.list': { good: { path: '/api/floors' } },
  'floors.set': {
    good: { path: '/api/floors', body: { service: 'segmenter', version: OLD, why: 'a hole' } },
    unknown: { path: '/api/floors', body: { service: 'segmenter', version: '9.9.9', why: 'a hole' } },
  },
  'signatures.add': {
    good: {
      path: '/api/signatures',
      get body() {
        return { signed: joining.signed };
      },
    },
  },
  'programs.list': { good: { path: '/api/programs' } },
  'programs.fetch': {
    good: { path: `/api/programs/fleet-agent/${AGENT_VERSION}/manifest` },
    unknown: { path: '/api/programs/fleet-agent/9.9.9/manifest' },
  },
  'rehearsals.begin': {
    good: { path: '/api/rehearsals', body: { profile: 'web', host: 'rehearsal-web' } },
  },
  'rehearsals.list': { good: { path: '/api/rehearsals?profile=web' } },
  'rehearsals.show': { good: { path: '/api/rehearsals/1' }, unknown: { path: '/api/rehearsals/999' } },
  'rehearsals.end': {
    good: { path: '/api/rehearsals/1/end', body: REHEARSED },
    unknown: { path: '/api/rehearsals/999/end', body: REHEARSED },
  },
  'backups.start': {
    good: {
      path: '/api/backups',
      body: { directory: join(mkdtempSync(join(tmpdir(), 'fleet-api-')), 'backup') },
    },
  },
  'backups.show': { good: { path: '/api/backups/1' }, unknown: { path: '/api/backups/999' } },
  'people.me': { good: { path: '/api/me' } },
  'people.list': { good: { path: '/api/people' } },
  'people.add': { good: { path: '/api/people', body: { name: 'ann', role: 'viewer' } } },
  'people.revoke': { good: { path: '/api/people/ann' }, unknown: { path: '/api/people/nobody' } },
  'audit.list': { good: { path: '/api/audit?limit=5&who=ann' } },
  'audit.verify': { good: { path: '/api/audit/verify' } },
  'deployments.output': {
    good: { path: '/api/deployments/1/steps/5/output' },
    unknown: { path: '/api/deployments/999/steps/1/output' },
  },
};
