/** Everybody who may come to a controller's endpoints: with which certificate, with which token, and what is theirs by right. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, connect, createSecureContext } from 'node:tls';
import { ROLES, type Role, type Scope } from '@fleet/protocol/access.ts';
import { makeBearer } from '@fleet/trust/bearer.ts';
import { type KeyPair, keyPairFrom, makeTlsKey, privatePem, publicText } from '@fleet/trust/keys.ts';
import { clientOptions } from '@fleet/trust/tls.ts';
import { joinBody, tokenOf } from '../../controller/enrol/enrolment.fixture.ts';
import { giveToken } from '../../controller/people/people.ts';
import { type Authority, makeAuthority, openAuthority } from '../../controller/trust/authority.ts';
import type { Shown } from './asking.ts';
import type { Controller } from './controller.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const ELSEWHERE: Scope = { services: ['other'], environments: ['other'] };

export interface Caller extends Shown {
  /** The host that it says it is, and the one that its certificate makes it. */
  says: string;
  host: string | null;
  /** Its certificate is of this fleet's authority and holds: what is left to ask is whose it is. */
  certified: boolean;
  /** What its token gives, and of which services and environments. */
  role: Role | null;
  scope: Partial<Scope>;
  /** What a route with a proof of its own asks for. */
  proves: boolean;
}

export async function everybody(on: Controller): Promise<Record<string, Caller>> {
  const { trust, enrolment, store } = on;
  const file = (name: string) => readFileSync(join(on.keys, name), 'utf8');
  const authorityAt = (at: number) =>
    openAuthority(keyPairFrom(file('ca.key'), 'ca.key'), trust.authority.pem, () => at);
  const nobody = nobodyAt(trust.authority);
  const { tls: plain } = nobody;
  const certified = async (
    authority: Authority,
    name: string,
    keys: KeyPair,
    more: Partial<Caller> = {},
  ) => ({
    ...nobody,
    ...(await certificateOf(authority, name, keys, plain)),
    ...more,
  });
  const joins = async (name: string, wishes: Parameters<typeof tokenOf>[1] = {}): Promise<KeyPair> => {
    const keys = makeTlsKey();
    await enrolment.join(joinBody(await tokenOf(enrolment, wishes), name, keys));
    return keys;
  };

  const [joined, other, revoked, resumed, forgotten, waiting] = [
    await joins('joined'),
    await joins('other'),
    await joins('revoked'),
    await joins('resumed'),
    await joins('forgotten'),
    await joins('waiting', { approve: true }),
  ];
  const foreign = makeTlsKey();
  const elsewhere = await openAuthority(foreign, await makeAuthority(foreign, Date.now()), Date.now);
  const ours = { certified: true };
  const before = await certified(trust.authority, 'resumed', resumed, ours);
  const session = await sessionOf(on.ports.agents, before.tls);
  await enrolment.end('revoked', 'revoked', 'the test');
  await enrolment.end('resumed', 'revoked', 'the test');
  await enrolment.end('forgotten', 'forgotten', 'the test');

  const good = await certified(trust.authority, 'joined', joined, { ...ours, host: 'joined' });
  const byCertificate: Record<string, Caller> = {
    ...(await strangers(trust.authority)),
    'a certificate of another authority of the same name': await certified(elsewhere, 'joined', joined),
    'a certificate that it signed itself': {
      ...nobody,
      tls: {
        ...plain,
        cert: await makeAuthority(joined, Date.now(), 'CN=joined'),
        key: privatePem(joined.privateKey),
      },
    },
    'an expired certificate': await certified(await authorityAt(Date.now() - 8 * DAY_MS), 'joined', joined),
    'the certificate of a revoked host': await certified(trust.authority, 'revoked', revoked, ours),
    'a session from before the host was revoked': { ...before, tls: { ...before.tls, session } },
    'the certificate of a forgotten host': await certified(trust.authority, 'forgotten', forgotten, ours),
    'the certificate of a host that waits to be let in': await certified(
      trust.authority,
      'waiting',
      waiting,
      ours,
    ),
    'a certificate with another name than its key has': await certified(
      trust.authority,
      'joined',
      other,
      ours,
    ),
    'the certificate of the controller itself': {
      ...nobody,
      tls: { ...plain, cert: file('controller.pem'), key: file('controller.key') },
    },
    'the certificate of another host': await certified(trust.authority, 'other', other, {
      ...ours,
      host: 'other',
    }),
    'an agent': good,
  };

  const bearer = (token: string, more: Partial<Caller> = {}) => ({
    ...nobody,
    headers: bearing(token),
    ...more,
  });
  const give = (name: string, role: Role, scope: Partial<Scope> = {}, expires: string | null = null) =>
    giveToken(store.tokens, { ...scope, name, role, expires, by: 'the test' });
  const gone = await give('gone', 'admin');
  await store.tokens.revoke('gone');
  const right = await give('right', 'admin');
  await give('ann', 'viewer');
  const byToken: Record<string, Caller> = {
    'a token that is none': bearer('secret'),
    'the id of a token with another secret': bearer(`${right.slice(0, 23)}${'A'.repeat(43)}`),
    'an expired token': bearer(await give('late', 'admin', {}, new Date(Date.now() - 1).toISOString())),
    'a revoked token': bearer(gone),
    'a join token': bearer(await tokenOf(enrolment)),
    'an admin of another service': bearer(
      await give('elsewhere', 'admin', { services: ELSEWHERE.services }),
      {
        ...{ role: 'admin', scope: { services: ELSEWHERE.services } },
      },
    ),
    'an admin of another environment': bearer(
      await give('abroad', 'admin', { environments: ELSEWHERE.environments }),
      { role: 'admin', scope: { environments: ELSEWHERE.environments } },
    ),
    'an agent with the token of an admin': {
      ...bearer(right, { role: 'admin' }),
      tls: good.tls,
      ...ours,
      host: 'joined',
    },
    'a host that has a join token': { ...nobody, proves: true },
  };
  for (const role of ROLES) byToken[role] = bearer(await give(`a ${role}`.replace(' ', '-'), role), { role });
  return readOnce({ ...byCertificate, ...byToken });
}

/** Those of whom a controller knows nothing at all, though its own authority's key may have been used for them. */
export async function strangers(authority: Authority): Promise<Record<string, Caller>> {
  const nobody = nobodyAt(authority);
  return readOnce({
    'nobody, with no certificate and no token': nobody,
    'a token of nobody': { ...nobody, headers: bearing(makeBearer('fleet').text) },
    'a certificate for a key that never joined': {
      ...nobody,
      ...(await certificateOf(authority, 'joined', makeTlsKey(), nobody.tls)),
      certified: true,
    },
  });
}

function nobodyAt({ pem }: Authority): Caller {
  return {
    ...{ tls: clientOptions({ ca: pem }), headers: {}, says: 'joined', host: null },
    ...{ certified: false, role: null, scope: {}, proves: false },
  };
}

const bearing = (token: string) => ({ authorization: `Bearer ${token}` });

async function certificateOf(authority: Authority, name: string, keys: KeyPair, plain: Caller['tls']) {
  const cert = await authority.issueAgent(name, publicText(keys.publicKey));
  return { tls: { ...plain, cert, key: privatePem(keys.privateKey) } };
}

/** What each shows is the same for all that it asks. */
function readOnce(callers: Record<string, Caller>): Record<string, Caller> {
  for (const { tls } of Object.values(callers)) tls.secureContext = createSecureContext(tls);
  return callers;
}

/** Throws where the server does not resume it: then it shows nothing. */
async function sessionOf(port: number, tls: ConnectionOptions): Promise<Buffer> {
  const open = async (more: ConnectionOptions) => {
    const socket = connect({ ...tls, ...more, host: '127.0.0.1', port });
    socket.on('error', () => {});
    const session = once(socket, 'session') as Promise<[Buffer]>;
    session.catch(() => {});
    await once(socket, 'secureConnect');
    return { socket, session };
  };
  const first = await open({});
  const [session] = await first.session;
  first.socket.destroy();
  const second = await open({ session });
  const isReused = second.socket.isSessionReused();
  second.socket.destroy();
  if (!isReused) throw new Error('the session is not resumed');
  return session;
}
