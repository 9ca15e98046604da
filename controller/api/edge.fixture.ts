/** For tests: a controller's API that asks who somebody is, people with tokens of every kind, and a hash over all that it keeps. */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Role, Scope } from '@fleet/protocol/access.ts';
import Database from 'better-sqlite3';
import { pino } from 'pino';
import type { Test } from 'tap';
import type { Fleet } from '../deploy/fleet.fixture.ts';
import { giveToken } from '../people/people.ts';
import { createApi } from './server.ts';
import { servingOf } from './serving.fixture.ts';

/** What stands in every fleet of the tests. */
export const HERE: Scope = { services: ['segmenter'], environments: ['production'] };
const HOUR_MS = 60 * 60 * 1000;

export interface Guarded {
  fleet: Fleet;
  port: number;
  url: string;
  /** What was logged, all of it. */
  logged(): string;
  /** The controller's clock, in milliseconds since 1970. */
  clock: { now: number };
  /** The token of somebody new. */
  give(role: Role, more?: Partial<Scope> & { name?: string; expires?: string | null }): Promise<string>;
  /** A hash over every row but what refusals may write: the audit log, and when a token was last used. */
  state(): string;
}

export async function guard(t: Test, fleet: Fleet, server: Server = createServer()): Promise<Guarded> {
  const { store, serving, clock } = await servingOf(t, fleet);
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
  const options = { development: false, origins: ['https://fleet.example'], now: () => clock.now };
  const api = await createApi(serving, log, server, options);
  t.teardown(() => api.close());
  await api.listen({ host: '127.0.0.1', port: 0 });
  const { port } = api.server.address() as AddressInfo;
  let given = 0;
  return {
    fleet,
    port,
    url: `http://127.0.0.1:${port}`,
    logged: () => lines.join(''),
    clock,
    give: (role, { name = `${role}-${++given}`, expires, ...scope } = {}) =>
      giveToken(store.tokens, {
        ...scope,
        name,
        role,
        expires: expires === undefined ? new Date(clock.now + HOUR_MS).toISOString() : expires,
        by: 'the test',
      }),
    state: watchRows(t, fleet.database),
  };
}

/** A hash over a database: every row but what refusals may write, and when somebody was last seen. Made anew where somebody has written. */
export function watchRows(t: Test, file: string): () => string {
  const database = new Database(file, { readonly: true });
  t.teardown(() => database.close());
  const versionOf = () => database.pragma('data_version', { simple: true });
  let version: unknown;
  let hash = '';
  return () => {
    const now = versionOf();
    if (now !== version) hash = hashOf(database);
    version = now;
    return hash;
  };
}

function hashOf(database: Database.Database): string {
  const tables = database.prepare("select name from sqlite_schema where type = 'table' order by name").all();
  const hash = createHash('sha256');
  for (const { name } of tables as Array<{ name: string }>) {
    if (name === 'audit') continue;
    const rows = database.prepare(`select * from "${name}"`).all() as Array<Record<string, unknown>>;
    for (const { last_used: _, last_seen: __, ...row } of rows)
      if (row.key !== 'audit_head') hash.update(`${name} ${JSON.stringify(row)}\n`);
  }
  return hash.digest('hex');
}
