/** Looks at all of a database, because one that is damaged in the middle answers many questions as if it were whole. */
import Database from 'better-sqlite3';

/** What is wrong with it, or null. */
export function findDamage(sqlite: Database.Database): string | null {
  try {
    const said = sqlite.pragma('quick_check', { simple: true });
    return said === 'ok' ? null : String(said);
  } catch (error) {
    if (error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code))
      return error.message;
    throw error;
  }
}
