/** Reading what a unit printed, and what systemd said of it, from the journal. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { type LogPart, type LogRange, MOST_BYTES } from './log.ts';

/** The cursor of a unit that has not printed anything yet. */
const START = 'journal';
const CURSOR = /^[a-z]=[0-9a-f]+(;[a-z]=[0-9a-f]+)*$/;

/**
 * The last `lines` entries, or with `after` what came since that cursor; never more than 256 KiB. A cursor outlives reboots; where its
 * entry is gone from the journal, reading goes on at the next one that is there.
 */
export async function readJournal(unit: string, { lines, after }: LogRange): Promise<LogPart> {
  const following = after === START || (after !== undefined && CURSOR.test(after));
  const from = after === START ? [] : [following ? `--after-cursor=${after}` : `--lines=${lines}`];
  const argv = ['--no-pager', '--quiet', '--output=json', '--output-fields=MESSAGE', '--all'];
  const journal = spawn('journalctl', [...argv, ...from, `--unit=${unit}`], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  journal.on('error', () => {});
  const taken: string[] = [];
  let bytes = 0;
  let cursor = following ? after! : START;
  for await (const line of createInterface({ input: journal.stdout })) {
    const entry = JSON.parse(line) as { __CURSOR: string; MESSAGE: unknown };
    const text = `${textOf(entry.MESSAGE)}\n`;
    bytes += Buffer.byteLength(text);
    // What follows a cursor is told from its beginning, and what is asked for without one from its end.
    if (following && bytes > MOST_BYTES && taken.length > 0) break;
    taken.push(text);
    cursor = entry.__CURSOR;
    while (!following && bytes > MOST_BYTES && taken.length > 1) bytes -= Buffer.byteLength(taken.shift()!);
  }
  journal.kill();
  return { text: bounded(taken.join('')), cursor };
}

/** What is no text is told as the bytes that it is. */
function textOf(message: unknown): string {
  if (typeof message === 'string') return message;
  return Array.isArray(message) ? Buffer.from(message as number[]).toString() : '';
}

function bounded(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length <= MOST_BYTES ? text : bytes.subarray(bytes.length - MOST_BYTES).toString();
}
