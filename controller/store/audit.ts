/** The audit log: rows that are only ever added, each bound to the one before by its hash. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '@fleet/artifact/canonical.ts';
import type { AuditHead, AuditOutcome, AuditRow } from '@fleet/protocol/api/audit.ts';
import type { Kysely, Selectable } from 'kysely';
import type { Db } from './open.ts';
import type { Tables } from './tables.ts';

export interface AuditEntry {
  who: string;
  /** An address, or `controller` for what it does by itself. */
  from: string;
  what: string;
  outcome: AuditOutcome;
  details?: Record<string, unknown>;
}

/** Before the first row. */
export const NO_ROWS: AuditHead = { seq: 0, hash: '0'.repeat(64) };
const HEAD = 'audit_head';

export class Audit {
  readonly #db: Db;
  readonly #followers = new Set<(row: AuditRow) => void>();
  constructor(db: Db) {
    this.#db = db;
  }

  /** On disk when this resolves. With `trx` it is committed together with the change that it tells of, or not at all. */
  async append(entry: AuditEntry, trx?: Kysely<Tables>): Promise<AuditRow> {
    const write = async (db: Kysely<Tables>) => {
      const { seq, hash: previous } = await headOf(db);
      const { who, from, what, outcome, details = {} } = entry;
      const told = {
        seq: seq + 1,
        at: new Date().toISOString(),
        who,
        from,
        what,
        outcome,
        details,
        previous,
      };
      const row = { ...told, hash: auditHash(told) };
      await db
        .insertInto('audit')
        .values({ ...row, details: canonicalJson(details) })
        .execute();
      const head = { key: HEAD, value: `${row.seq}:${row.hash}` };
      await db
        .insertInto('meta')
        .values(head)
        .onConflict((conflict) => conflict.column('key').doUpdateSet(head))
        .execute();
      return row;
    };
    const row = await (trx ? write(trx) : this.#db.transaction().execute(write));
    for (const follower of this.#followers) follower(row);
    return row;
  }

  /** Called for each row from now on: how it gets into the controller's log, which lies elsewhere. */
  follow(follower: (row: AuditRow) => void): void {
    this.#followers.add(follower);
  }

  /** Number and hash of the last row that was written, also where the row itself is gone. */
  async head(): Promise<AuditHead> {
    return headOf(this.#db);
  }

  /** Newest first. `since`: a moment, ISO 8601 in UTC. */
  async list(filter: {
    since?: string | undefined;
    who?: string | undefined;
    limit: number;
  }): Promise<AuditRow[]> {
    let query = this.#db.selectFrom('audit').selectAll().orderBy('seq', 'desc').limit(filter.limit);
    if (filter.since !== undefined) query = query.where('at', '>=', filter.since);
    if (filter.who !== undefined) query = query.where('who', '=', filter.who);
    return (await query.execute()).map(record);
  }

  /** Rows as they stand in the table after a number, oldest first. */
  async after(seq: number, limit: number): Promise<AuditRow[]> {
    const query = this.#db.selectFrom('audit').selectAll().where('seq', '>', seq);
    return (await query.orderBy('seq').limit(limit).execute()).map(record);
  }
}

/** What a row's hash has to be. */
export function auditHash(told: Omit<AuditRow, 'hash'>): string {
  return createHash('sha256').update(canonicalJson(told)).digest('hex');
}

async function headOf(db: Kysely<Tables>): Promise<AuditHead> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', HEAD).executeTakeFirst();
  const [, seq, hash] = /^(\d+):([0-9a-f]{64})$/.exec(row?.value ?? '') ?? [];
  return seq === undefined || hash === undefined ? NO_ROWS : { seq: Number(seq), hash };
}

function record({ details, ...row }: Selectable<Tables['audit']>): AuditRow {
  return { ...row, details: decoded(details) };
}

/** Whoever wrote into the database from outside may have left anything. */
function decoded(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { unreadable: text };
  }
}
