/** Tokens of people and programs, by their hashes. */
import type { Role, Scope } from '@fleet/protocol/access.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Selectable } from 'kysely';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface TokenRecord extends Scope {
  id: string;
  /** Of the person or program. */
  name: string;
  /** sha256 of the whole token, hex. */
  hash: string;
  role: Role;
  created: string;
  /** Null: it does not end by itself. */
  expires: string | null;
  lastUsed: string | null;
  revoked: string | null;
  /** Who gave it. */
  by: string;
}
export type NewToken = Omit<TokenRecord, 'created' | 'lastUsed' | 'revoked'>;

export class Tokens {
  readonly #db: Db;
  constructor(db: Db) {
    this.#db = db;
  }

  /** Throws `person_exists` where the name has a token that is not revoked. */
  async create({ services, environments, ...token }: NewToken): Promise<TokenRecord> {
    const created = new Date().toISOString();
    await this.#db.transaction().execute(async (trx) => {
      const held = await trx
        .selectFrom('tokens')
        .select('id')
        .where('name', '=', token.name)
        .where('revoked', 'is', null)
        .executeTakeFirst();
      if (held)
        throw new FleetError('person_exists', `${token.name} has a token already`, {
          next: `take another name, like ${token.name}@laptop, or end the one there is: fleet people revoke ${token.name}`,
        });
      await trx
        .insertInto('tokens')
        .values({ ...token, services: written(services), environments: written(environments), created })
        .execute();
    });
    return { ...token, services, environments, created, lastUsed: null, revoked: null };
  }

  async byId(id: string): Promise<TokenRecord | undefined> {
    const row = await this.#db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst();
    return row && record(row);
  }

  /** Those that are not revoked, by name. */
  async list(): Promise<TokenRecord[]> {
    const query = this.#db.selectFrom('tokens').selectAll().where('revoked', 'is', null).orderBy('name');
    return (await query.execute()).map(record);
  }

  /** From now on it opens nothing. False where no such token was left to revoke. */
  async revoke(name: string): Promise<boolean> {
    const ended = await this.#db
      .updateTable('tokens')
      .set({ revoked: new Date().toISOString() })
      .where('name', '=', name)
      .where('revoked', 'is', null)
      .executeTakeFirst();
    return ended.numUpdatedRows > 0n;
  }

  async used(id: string, at: string): Promise<void> {
    await this.#db.updateTable('tokens').set({ last_used: at }).where('id', '=', id).execute();
  }
}

function written(names: Scope['services']): string | null {
  return names === null ? null : JSON.stringify(names);
}

function record({ services, environments, last_used, ...row }: Selectable<Tables['tokens']>): TokenRecord {
  const read = (names: string | null) => (names === null ? null : (JSON.parse(names) as string[]));
  return { ...row, services: read(services), environments: read(environments), lastUsed: last_used };
}
