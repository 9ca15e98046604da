/** Agents by their keys: who has joined, who waits to be let in, who was cut off. */
import type { IdentityRow, JoinToken } from '@fleet/protocol/api/enrolment.ts';
import type { Labels } from '@fleet/protocol/words.ts';
import type { Selectable } from 'kysely';
import { FINAL } from './deployments.ts';
import { forgetHost } from './hosts.ts';
import { tokenOf } from './joinTokens.ts';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface IdentityRecord extends IdentityRow {
  /** SPKI as base64. */
  publicKey: string;
}

/** What a join is decided on, all read in the one transaction that also writes. */
export interface Standing {
  token: (JoinToken & { hash: string }) | undefined;
  /** The identity of this very key, where it has one. */
  known: IdentityRecord | undefined;
  /** Who lives under a host name now. */
  holder(host: string): Promise<IdentityRecord | undefined>;
  /** A deployment that has not ended, and that was planned for the host of this name. */
  deployment(host: string): Promise<number | undefined>;
}
export type NewIdentity = Pick<
  IdentityRecord,
  'key' | 'publicKey' | 'host' | 'labels' | 'state' | 'joinedAt'
>;

export class Identities {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  async list(): Promise<IdentityRecord[]> {
    const rows = await this.#db
      .selectFrom('identities')
      .selectAll()
      .orderBy('host')
      .orderBy('joined_at')
      .execute();
    return rows.map(identityOf);
  }

  async get(key: string): Promise<IdentityRecord | undefined> {
    const row = await this.#db.selectFrom('identities').selectAll().where('key', '=', key).executeTakeFirst();
    return row && identityOf(row);
  }

  /**
   * Spends one use of a token for what `decide` makes of how things stand; undefined where it makes nothing of it. What it throws
   * spends nothing. Whatever there was under this host name is forgotten: the new one inherits nothing.
   */
  join(
    token: string,
    key: string,
    decide: (standing: Standing) => Promise<NewIdentity | undefined>,
  ): Promise<void> {
    return this.#db.transaction().execute(async (trx) => {
      const row = await trx.selectFrom('join_tokens').selectAll().where('id', '=', token).executeTakeFirst();
      const known = await trx.selectFrom('identities').selectAll().where('key', '=', key).executeTakeFirst();
      const made = await decide({
        token: row && { ...tokenOf(row), hash: row.hash },
        known: known && identityOf(known),
        async holder(host) {
          const holder = await trx
            .selectFrom('identities')
            .selectAll()
            .where('host', '=', host)
            .where('state', 'in', ['waiting', 'active'])
            .executeTakeFirst();
          return holder && identityOf(holder);
        },
        async deployment(host) {
          const planned = await trx
            .selectFrom('deployment_hosts')
            .innerJoin('deployments', 'deployments.id', 'deployment_hosts.deployment')
            .select('deployments.id')
            .where('deployment_hosts.host', '=', host)
            .where('deployments.state', 'not in', FINAL)
            .executeTakeFirst();
          return planned?.id;
        },
      });
      if (made === undefined) return;
      const { publicKey, joinedAt, labels, ...same } = made;
      await trx
        .updateTable('join_tokens')
        .set((set) => ({ used: set('used', '+', 1) }))
        .where('id', '=', token)
        .execute();
      await trx
        .insertInto('identities')
        .values({
          ...same,
          public_key: publicKey,
          labels: JSON.stringify(labels),
          token,
          joined_at: joinedAt,
          expires_at: null,
          ended_at: null,
          ended_by: null,
        })
        .execute();
      await forgetHost(trx, made.host);
    });
  }

  /** False where no such host waits. */
  async approve(host: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('identities')
      .set({ state: 'active' })
      .where('host', '=', host)
      .where('state', '=', 'waiting')
      .executeTakeFirstOrThrow();
    return numUpdatedRows > 0n;
  }

  /** False where it is not an active one any more, and nothing was written. */
  async certified(key: string, expiresAt: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('identities')
      .set({ expires_at: expiresAt })
      .where('key', '=', key)
      .where('state', '=', 'active')
      .executeTakeFirstOrThrow();
    return numUpdatedRows > 0n;
  }

  /** For good: a key that was ended never comes back. False where nobody lives under this name. */
  async end(host: string, how: 'revoked' | 'forgotten', at: string, by: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('identities')
      .set({ state: how, ended_at: at, ended_by: by })
      .where('host', '=', host)
      .where('state', 'in', ['waiting', 'active'])
      .executeTakeFirstOrThrow();
    return numUpdatedRows > 0n;
  }
}

function identityOf(row: Selectable<Tables['identities']>): IdentityRecord {
  return {
    key: row.key,
    publicKey: row.public_key,
    host: row.host,
    labels: JSON.parse(row.labels) as Labels,
    state: row.state,
    token: row.token,
    joinedAt: row.joined_at,
    expiresAt: row.expires_at,
    endedAt: row.ended_at,
    endedBy: row.ended_by,
  };
}
