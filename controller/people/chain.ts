/** Whether the audit log is as it was written: each row by its hash, its place by the one before, the end by the head. */
import type { AuditFault, AuditHead, AuditRow } from '@fleet/protocol/api/audit.ts';
import { type Audit, auditHash, NO_ROWS } from '../store/audit.ts';

/**
 * `noted`: a row's number and hash that somebody has kept elsewhere. Whoever can write into the database can also make all the
 * hashes anew; only what lies elsewhere tells that.
 */
export async function verifyAudit(
  audit: Audit,
  noted?: AuditHead,
  /** Rows that are held in memory at a time. */
  page = 1000,
): Promise<{ rows: number; head: AuditHead; fault: AuditFault | null }> {
  // First: what is appended meanwhile comes after it.
  const head = await audit.head();
  let last: AuditHead = NO_ROWS;
  let rows = 0;
  const fault = (seq: number, message: string) => ({ rows, head, fault: { seq, message } });
  for (;;) {
    const read = await audit.after(last.seq, page);
    for (const row of read) {
      const wrong = wrongWith(row, last) ?? (row.seq === noted?.seq ? unlike(row, noted) : undefined);
      if (wrong) return fault(wrong.seq, wrong.message);
      last = { seq: row.seq, hash: row.hash };
      rows++;
      if (row.seq === head.seq && row.hash !== head.hash)
        return fault(row.seq, `row ${row.seq} is not the one that was written last`);
    }
    if (read.length < page) break;
  }
  if (last.seq < head.seq)
    return fault(last.seq + 1, `row ${last.seq + 1} is missing: ${head.seq} rows were written`);
  if (noted !== undefined && last.seq < noted.seq)
    return fault(last.seq + 1, `row ${last.seq + 1} is missing: row ${noted.seq} was noted`);
  return { rows, head, fault: null };
}

function wrongWith({ hash, ...told }: AuditRow, last: AuditHead): AuditFault | undefined {
  const { seq, previous } = told;
  if (seq !== last.seq + 1) return { seq: last.seq + 1, message: `row ${last.seq + 1} is missing` };
  if (auditHash(told) !== hash)
    return { seq, message: `row ${seq} was edited: its hash is not that of what it says` };
  if (previous !== last.hash)
    return {
      seq,
      message: `row ${seq} does not follow the one before it: rows were exchanged or written anew`,
    };
  return undefined;
}

function unlike({ seq, hash }: AuditRow, noted: AuditHead): AuditFault | undefined {
  return hash === noted.hash
    ? undefined
    : { seq, message: `row ${seq} has not the hash that was noted: the log was written anew up to here` };
}
