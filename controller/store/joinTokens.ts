/** Tokens with which hosts join. They are found by their id and known by their hash. */
import type { JoinToken } from '@fleet/protocol/api/enrolment.ts';
import type { Labels } from '@fleet/protocol/words.ts';
import type { Selectable } from 'kysely';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface NewToken extends Omit<JoinToken, 'used' | 'revokedAt'> {
  /** sha256 of its text. */
  hash: string;
}

export class JoinTokens {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  async add(token: NewToken): Promise<void> {
    const { labels, approve, madeAt, expiresAt, ...row } = token;
    await this.#db
      .insertInto('join_tokens')
      .values({
        ...row,
        labels: JSON.stringify(labels),
        approve: Number(approve),
        used: 0,
        made_at: madeAt,
        expires_at: expiresAt,
        revoked_at: null,
      })
      .execute();
  }

  /** Newest first. */
  async list(): Promise<JoinToken[]> {
    const rows = await this.#db.selectFrom('join_tokens').selectAll().orderBy('made_at', 'desc').execute();
    return rows.map(tokenOf);
  }

  /** False where there is none that could still be used. */
  async revoke(id: string, at: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('join_tokens')
      .set({ revoked_at: at })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .executeTakeFirstOrThrow();
    return numUpdatedRows > 0n;
  }
}

export function tokenOf(row: Selectable<Tables['join_tokens']>): JoinToken {
  return {
    id: row.id,
    labels: JSON.parse(row.labels) as Labels,
    host: row.host,
    approve: row.approve === 1,
    uses: row.uses,
    used: row.used,
    by: row.by,
    madeAt: row.made_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  };
}
