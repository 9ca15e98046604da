/** People and programs: who somebody is, by the token that they show. Nothing is cached, so that revocation holds at once. */
import { EVERYWHERE, type Role, type Scope } from '@fleet/protocol/access.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { bearerId, isBearer, makeBearer } from '@fleet/trust/bearer.ts';
import type { TokenRecord, Tokens } from '../store/tokens.ts';

export interface Person extends Scope {
  /** Id of the token; null in development, where nobody is asked. */
  token: string | null;
  name: string;
  role: Role;
  /** Null: it does not end by itself. */
  expires: string | null;
}

/** The last use of a token is written down at most this often. */
const NOTED_MS = 60_000;

export interface PeopleOptions {
  tokens: Tokens;
  /** Milliseconds since 1970. */
  now(): number;
}

export class People {
  readonly #tokens: Tokens;
  readonly #now: () => number;
  constructor({ tokens, now }: PeopleOptions) {
    this.#tokens = tokens;
    this.#now = now;
  }

  /** By the header `Authorization`. Throws `unauthenticated`, which says the same whatever is wrong. */
  async authenticate(header: string | undefined): Promise<Person> {
    const token = /^Bearer (\S+)$/.exec(header ?? '')?.[1] ?? '';
    const id = bearerId('fleet', token);
    const record = id === undefined ? undefined : await this.#tokens.byId(id);
    if (record === undefined || !isBearer(token, record.hash) || !this.#isGood(record))
      throw new FleetError('unauthenticated', 'no token, or one that is unknown, expired or revoked', {
        next: 'fleet login with the string of `fleet people add`, which whoever has the role admin can make',
      });
    await this.#note(record);
    const { name, role, services, environments, expires } = record;
    return { token: record.id, name, role, services, environments, expires };
  }

  /** Whether whoever was let in with this token still would be. */
  async isStillGood(id: string): Promise<boolean> {
    const record = await this.#tokens.byId(id);
    return record !== undefined && this.#isGood(record);
  }

  #isGood({ revoked, expires }: TokenRecord): boolean {
    return revoked === null && (expires === null || this.#now() < Date.parse(expires));
  }

  async #note({ id, lastUsed }: TokenRecord): Promise<void> {
    const now = this.#now();
    if (lastUsed !== null && Math.abs(now - Date.parse(lastUsed)) < NOTED_MS) return;
    // A full disk must not keep people from looking what is wrong.
    await this.#tokens.used(id, new Date(now).toISOString()).catch(() => {});
  }
}

export interface Given extends Partial<Scope> {
  name: string;
  role: Role;
  /** A moment, ISO 8601 in UTC; null: it does not end by itself. */
  expires: string | null;
  by: string;
}

/** Makes a token, and gives its text, which is nowhere else. Throws `person_exists`. */
export async function giveToken(tokens: Tokens, given: Given): Promise<string> {
  const { id, hash, text } = makeBearer('fleet');
  await tokens.create({ ...EVERYWHERE, ...given, id, hash });
  return text;
}
