/** How hosts come in, stay in and are cut off. What is decided here, of a token or of a key, is decided by rows and a clock alone. */
import type {
  CertifyStatement,
  createToken,
  Enrolled,
  IdentityRow,
  JoinStatement,
  JoinToken,
  join,
} from '@fleet/protocol/api/enrolment.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { bearerId, makeBearer } from '@fleet/trust/bearer.ts';
import { writeJoinString } from '@fleet/trust/joinString.ts';
import { keyIdOf, publicKeyFrom } from '@fleet/trust/keys.ts';
import { isSignedBy, type Signed } from '@fleet/trust/signed.ts';
import { validity } from '@fleet/trust/tls.ts';
import type { z } from 'zod';
import type { Signing } from '../signing/signing.ts';
import type { IdentityRecord } from '../store/identities.ts';
import type { Store } from '../store/store.ts';
import type { Trust } from '../trust/folder.ts';
import { badToken, checkToken, ended, unknownKey } from './refusals.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** How far a host's clock may be from the controller's where a signed request says when it was made. */
const CLOCKS_MS = 5 * MINUTE_MS;
/** A host that was away for longer than this after its certificate has expired joins anew. */
const LATE_MS = 30 * DAY_MS;

export interface EnrolmentOptions {
  store: Pick<Store, 'identities' | 'joinTokens'>;
  trust: Trust;
  /** Who may sign: a host that joins pins it. */
  signing: Pick<Signing, 'root' | 'trust'>;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** Port of the agents' endpoint. */
  agentsPort: () => number;
  /** Ends open connections of identities that were ended. */
  sweep: () => Promise<void>;
}

export class Enrolment {
  readonly #on: EnrolmentOptions;
  constructor(options: EnrolmentOptions) {
    this.#on = options;
  }

  async createToken(
    { url, ttlMs, host, ...wanted }: z.infer<typeof createToken.body>,
    by: string,
  ): Promise<z.infer<typeof createToken.reply>> {
    const { store, trust, clock } = this.#on;
    const { id, text, hash } = makeBearer('fleetjoin');
    const expiresAt = iso(clock() + ttlMs);
    await store.joinTokens.add({
      ...wanted,
      id,
      hash,
      host: host ?? null,
      by,
      madeAt: iso(clock()),
      expiresAt,
    });
    const joinString = writeJoinString({
      url,
      token: text,
      ca: trust.caKeyId,
      root: trust.rootKeyId,
      labels: wanted.labels,
    });
    return { id, joinString, expiresAt };
  }

  listTokens(): Promise<JoinToken[]> {
    return this.#on.store.joinTokens.list();
  }

  revokeToken(id: string): Promise<boolean> {
    return this.#on.store.joinTokens.revoke(id, iso(this.#on.clock()));
  }

  async listIdentities(): Promise<IdentityRow[]> {
    const records = await this.#on.store.identities.list();
    return records.map(({ publicKey: _, ...row }) => row);
  }

  /**
   * Throws `bad_token`, `name_in_use`. A host that asks again with the key that it has joined with gets the same
   * answer: the first one may not have reached it.
   */
  async join({ token: text, proof }: z.infer<typeof join.body>): Promise<Enrolled> {
    const { store, clock } = this.#on;
    const { statement } = proof;
    const id = bearerId('fleetjoin', text);
    if (id === undefined || id !== statement.token || !isProven(proof))
      throw badToken('it is none of this fleet');
    await store.identities.join(id, proof.key, async ({ token: found, known, holder, deployment }) => {
      const shown = { token: found, text, host: statement.host, now: iso(clock()) };
      const token = checkToken(shown, known);
      if (known !== undefined) return undefined;
      const host = token.host ?? statement.host;
      if (host === null)
        throw badToken('it leaves the name to the host, and the host gives none', '--host NAME');
      if ((await holder(host)) !== undefined)
        throw new FleetError('name_in_use', `another host has joined as ${host}`, {
          next: `take another name; or, if that one is gone for good: fleet hosts forget ${host}`,
          data: { host },
        });
      const planned = await deployment(host);
      if (planned !== undefined)
        throw new FleetError('name_in_use', `deployment ${planned} goes to the ${host} that was before`, {
          next: `wait until it has ended, or: fleet abort ${planned}; or take another name`,
          data: { host },
        });
      return {
        key: proof.key,
        publicKey: statement.key,
        host,
        labels: token.labels,
        state: token.approve ? 'waiting' : 'active',
        joinedAt: iso(clock()),
      };
    });
    return this.#answer(proof.key);
  }

  /** For a host that waits to be let in, or whose certificate has expired. Throws `not_enrolled`, `clock_off`. */
  async certify(proof: Signed<CertifyStatement>): Promise<Enrolled> {
    const now = this.#on.clock();
    if (!isProven(proof)) throw unknownKey();
    if (Math.abs(proof.statement.at - now) > CLOCKS_MS)
      throw new FleetError(
        'clock_off',
        `it is ${iso(now)} here, and the host says that it is ${iso(proof.statement.at)}`,
        { next: 'set the clock of the host right, such as with: timedatectl set-ntp true' },
      );
    return this.#answer(proof.key);
  }

  /** A certificate over the link that the last one has opened. Throws `not_enrolled`. */
  async renew(key: string): Promise<string> {
    return this.#certificate(await this.#living(key));
  }

  /** Throws `not_enrolled` for an identity that is not active, or whose newest certificate has expired. */
  async check(key: string): Promise<IdentityRecord> {
    const record = await this.#living(key);
    if (record.expiresAt === null || record.expiresAt <= iso(this.#on.clock()))
      throw new FleetError('not_enrolled', `the certificate of ${record.host} has expired`, {
        next: `its agent renews it by itself, up to 30 days later: fleet agent on ${record.host}; after that, fleet hosts forget ${record.host} and join anew`,
        data: { host: record.host },
      });
    return record;
  }

  approve(host: string): Promise<boolean> {
    return this.#on.store.identities.approve(host);
  }

  /** Its open connection ends with it. False where nobody has joined under this name. */
  async end(host: string, how: 'revoked' | 'forgotten', by: string): Promise<boolean> {
    const { store, clock, sweep } = this.#on;
    const done = await store.identities.end(host, how, iso(clock()), by);
    await sweep();
    return done;
  }

  async #answer(key: string): Promise<Enrolled> {
    const { trust, signing, agentsPort } = this.#on;
    const record = await this.#living(key);
    if (record.state === 'waiting') return { state: 'waiting', host: record.host };
    return {
      state: 'active',
      host: record.host,
      labels: record.labels,
      certificate: await this.#certificate(record),
      ca: trust.authority.pem,
      root: signing.root,
      trust: signing.trust(),
      port: agentsPort(),
    };
  }

  async #certificate({ key, host, publicKey, state }: IdentityRecord): Promise<string> {
    const { store, trust } = this.#on;
    if (state !== 'active') throw unknownKey();
    const pem = await trust.authority.issueAgent(host, publicKey);
    if (!(await store.identities.certified(key, iso(validity(pem).to)))) throw unknownKey();
    return pem;
  }

  /** One that was not ended, and has not been away for too long. */
  async #living(key: string): Promise<IdentityRecord> {
    const record = await this.#on.store.identities.get(key);
    if (record === undefined) throw unknownKey();
    if (record.state === 'revoked' || record.state === 'forgotten') throw ended(record);
    if (record.expiresAt !== null && Date.parse(record.expiresAt) + LATE_MS < this.#on.clock())
      throw new FleetError(
        'not_enrolled',
        `${record.host} was away for more than 30 days after its certificate expired`,
        {
          next: `fleet hosts forget ${record.host}, then fleet token create, and fleet agent join on ${record.host}`,
          data: { host: record.host },
        },
      );
    return record;
  }
}

/** Whoever signed has the private half of the key that the statement names, and `key` is that key's own name. */
function isProven(proof: Signed<JoinStatement | CertifyStatement>): boolean {
  const { key } = proof.statement;
  return keyIdOf(publicKeyFrom(key)) === proof.key && isSignedBy(proof, [key]);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
