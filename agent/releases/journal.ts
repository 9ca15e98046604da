/**
 * What the agent was told to do and how it ended, one file a command, so that a command that comes twice acts once.
 *
 * A record is written before its command acts and again when it has ended. One that was started and never ended belongs to
 * an agent that died in the middle: its command is done again when it is sent again. That is right for everything that
 * first looks what already holds. What must not happen twice inside a command is a part with its own outcome in the record.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { passing } from '@fleet/process/points.ts';
import { asFleetError, type ErrorBody, FleetError, fromBody } from '@fleet/protocol/errors.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import { type Disk, realDisk } from '../disk/disk.ts';
import { ifThere, makeDirectory, syncPath, writeDurably } from '../disk/durable.ts';
import { openReserve } from './reserve.ts';

const KEPT_RECORDS = 2000;
const KEPT_MS = 30 * 24 * 3_600_000;

type Outcome =
  /** `run`: of a part that may not run twice, from 1; counted up when a person has it run again. */
  | { state: 'started'; run?: number }
  | { state: 'done'; value: unknown }
  | { state: 'failed'; error: ErrorBody };

export interface CommandRecord {
  id: string;
  /** Method, service and version: a repeated id must mean the same. */
  subject: string;
  why: string;
  startedAt: string;
  endedAt?: string;
  outcome: Outcome;
  parts: Record<string, Outcome>;
}

/** `name`: of its file. Throws `internal` for what is no record, or one of a journal of another kind. */
export function readRecord(text: string, name: string): CommandRecord {
  const read = JSON.parse(text) as Partial<CommandRecord> | null;
  if (
    typeof read?.id === 'string' &&
    typeof read.outcome?.state === 'string' &&
    typeof read.parts === 'object'
  )
    return read as CommandRecord;
  throw new FleetError('internal', `${name} in the journal is no record that this agent can read`);
}

/**
 * Failures that are not remembered. They say that something was missing on the way here, not that the work went wrong, so
 * the same command may succeed when it comes again: room on the disk, bytes of a release, the link, an agent that stops, a
 * person's decision.
 */
const PASSING: ReadonlySet<string> = new Set([
  'disk_full',
  'transfer_failed',
  'no_release',
  'link_lost',
  'timeout',
  'stopping',
  'hook_interrupted',
]);

type Decisions = NonNullable<Command['decisions']>;

interface Manner<T> {
  /** May be done again when it was interrupted. */
  repeatable: boolean;
  /** For one that may not: the version that it belongs to, and its value where a person decides that it counts as done. */
  once?: { version: string; skipped: T };
}

export interface Entry {
  /**
   * A part of the command, done at most once: when the command is done again, a part that has ended gives its recorded
   * value or error. One that was interrupted is done again if it is repeatable. Else it throws `hook_interrupted` until the
   * command comes with a person's decision about just this interruption.
   */
  part<T>(name: string, manner: Manner<T>, act: () => Promise<T>): Promise<T>;
}

export interface Journal {
  /** Does the command, or gives the outcome that is recorded under its id. */
  perform<T>(command: Command, subject: string, act: (entry: Entry) => Promise<T>): Promise<T>;
}

/** `now`: wall time in milliseconds; it only decides which records are old. */
export async function openJournal(
  directory: string,
  now: () => number,
  disk: Disk = realDisk,
): Promise<Journal> {
  await makeDirectory(disk, directory, 0o700);
  const known = await forgetOld(disk, directory, now());
  const reserve = await openReserve(disk, `${directory}.reserve`);
  /** Outcomes that the disk did not take, not even in place of the reserve: as good as recorded while the agent lives. */
  const unwritten = new Map<string, CommandRecord>();

  const nameOf = (id: string) => `${createHash('sha256').update(id).digest('hex')}.json`;
  const write = (record: CommandRecord) =>
    writeDurably(disk, join(directory, nameOf(record.id)), JSON.stringify(record));

  async function find(id: string): Promise<CommandRecord | undefined> {
    const text = await ifThere(disk.readFile(join(directory, nameOf(id)), 'utf8'));
    return unwritten.get(id) ?? (text === undefined ? undefined : readRecord(text, nameOf(id)));
  }

  async function begin(command: Command, subject: string): Promise<CommandRecord> {
    const startedAt = new Date(now()).toISOString();
    const { id, why } = command;
    const record: CommandRecord = { id, subject, why, startedAt, outcome: { state: 'started' }, parts: {} };
    await passing('agent.command_journaled', () => write(record));
    await reserve.refill();
    known.add(nameOf(id));
    for (const oldest of known) {
      if (known.size <= KEPT_RECORDS) break;
      known.delete(oldest);
      await disk.rm(join(directory, oldest), { force: true });
    }
    return record;
  }

  /** What has been done is done, whether or not the disk has room to say so: the truth is told either way. */
  async function keep(record: CommandRecord): Promise<void> {
    try {
      await write(record).catch(async (error) => {
        if (asFleetError(error).code !== 'disk_full' || !(await reserve.giveUp())) throw error;
        await write(record);
      });
      unwritten.delete(record.id);
    } catch {
      unwritten.set(record.id, record);
    }
  }

  async function end(record: CommandRecord, outcome: Outcome): Promise<void> {
    record.outcome = outcome;
    record.endedAt = new Date(now()).toISOString();
    await passing('agent.result_journaled', () => keep(record));
  }

  function entryOf(record: CommandRecord, decisions: Decisions): Entry {
    return {
      async part<T>(name: string, { repeatable, once }: Manner<T>, act: () => Promise<T>) {
        const before = record.parts[name];
        if (before?.state === 'done') return before.value as T;
        if (before?.state === 'failed') throw fromBody(before.error);
        if (!repeatable) {
          const run = before === undefined ? 0 : (before.run ?? 1);
          // A decision without a record of what it is about: that has grown too old and was removed. It holds all the same.
          const decision = decisions.findLast((each) => each.part === name && each.run >= run);
          if (run > 0 && decision === undefined)
            throw interrupted(name, once?.version ?? record.subject, run);
          const skipped = decision?.take === 'done' ? once?.skipped : undefined;
          record.parts[name] =
            skipped === undefined
              ? { state: 'started', run: (decision?.run ?? 0) + 1 }
              : { state: 'done', value: skipped };
          await write(record);
          if (skipped !== undefined) return skipped;
        }
        try {
          const value = await act();
          record.parts[name] = { state: 'done', value };
          return value;
        } catch (thrown) {
          const error = asFleetError(thrown);
          if (!PASSING.has(error.code)) record.parts[name] = { state: 'failed', error: error.toJSON() };
          throw error;
        } finally {
          await keep(record);
        }
      },
    };
  }

  return {
    async perform<T>(command: Command, subject: string, act: (entry: Entry) => Promise<T>): Promise<T> {
      const found = await find(command.id);
      if (found && found.subject !== subject)
        throw new FleetError('bad_request', `command ${command.id} was ${found.subject}, not ${subject}`);
      if (found?.outcome.state === 'done') return found.outcome.value as T;
      if (found?.outcome.state === 'failed') throw fromBody(found.outcome.error);

      const record = found ?? (await begin(command, subject));
      try {
        const value = await act(entryOf(record, command.decisions ?? []));
        await end(record, { state: 'done', value });
        return value;
      } catch (thrown) {
        const error = asFleetError(thrown);
        if (!PASSING.has(error.code)) await end(record, { state: 'failed', error: error.toJSON() });
        throw error;
      }
    },
  };
}

function interrupted(hook: string, version: string, run: number): FleetError {
  return new FleetError(
    'hook_interrupted',
    `${hook} of ${version} was interrupted in the middle, and must not run twice`,
    {
      next: 'Look on the host how far it got, put it right by hand, and decide: fleet retry, fleet skip or fleet abort. A hook that may run twice says repeatable: true in fleet.yaml.',
      data: { hook, version, run },
    },
  );
}

/** Names of the records that stay, oldest first. */
async function forgetOld(disk: Disk, directory: string, now: number): Promise<Set<string>> {
  const records: Array<{ name: string; at: number }> = [];
  for (const name of await disk.readdir(directory)) {
    const { mtimeMs } = await disk.stat(join(directory, name));
    records.push({ name, at: name.endsWith('.json') ? mtimeMs : Number.NEGATIVE_INFINITY });
  }
  records.sort((a, b) => a.at - b.at);
  const kept = records.slice(-KEPT_RECORDS).filter(({ at }) => now - at <= KEPT_MS);
  const names = new Set(kept.map(({ name }) => name));
  for (const { name } of records) if (!names.has(name)) await disk.rm(join(directory, name));
  await syncPath(disk, directory);
  return names;
}
