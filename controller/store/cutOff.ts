/** What a backup does not know: who was cut off after it was made, and what has become too old. */
import Database from 'better-sqlite3';

/** How many people and hosts stay out by the database that was there before; null where it could not be asked. */
export type CutOff = { people: number; hosts: number } | null;

const SAME_FLEET = `(select value from meta where key = 'fleet') = (select value from was.meta where key = 'fleet')`;
/** Whoever is out stays out, and a floor does not fall: each only ever takes something away from whoever the backup lets in. */
const PEOPLE = `update tokens set revoked = was.revoked from was.tokens as was
  where was.id = tokens.id and tokens.revoked is null and was.revoked is not null and ${SAME_FLEET}`;
const HOSTS = `update identities set state = was.state, ended_at = was.ended_at, ended_by = was.ended_by
  from was.identities as was
  where was.key = identities.key and identities.state in ('waiting', 'active')
    and was.state in ('revoked', 'forgotten') and ${SAME_FLEET}`;
const FLOORS = `insert into floors select * from was.floors where ${SAME_FLEET}
  on conflict (service) do update set signed = excluded.signed, why = excluded.why, by = excluded.by, at = excluded.at
  where excluded.signed ->> '$.statement.notBefore' > floors.signed ->> '$.statement.notBefore'`;
/** They hold for minutes; one that was used since the backup was made would be good once more. */
const JOIN_TOKENS = 'update join_tokens set revoked_at = ? where revoked_at is null';

/**
 * In a database that was brought back from a backup: `former` is the one that it replaces, where there is one. `at`: a moment,
 * ISO 8601. Nobody may have them open.
 */
export function keepCutOff(file: string, former: string | undefined, at: string): CutOff {
  const sqlite = new Database(file, { fileMustExist: true });
  try {
    sqlite.prepare(JOIN_TOKENS).run(at);
    if (former === undefined) return null;
    sqlite.prepare('attach ? as was').run(former);
    const run = (statement: string) => sqlite.prepare(statement).run().changes;
    return sqlite.transaction(() => {
      run(FLOORS);
      return { people: run(PEOPLE), hosts: run(HOSTS) };
    })();
  } catch (error) {
    // It is perhaps the very damage for which somebody restores.
    if (error instanceof Database.SqliteError && former !== undefined) return null;
    throw error;
  } finally {
    sqlite.close();
  }
}
