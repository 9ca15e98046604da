/**
 * How a message that changes something is carried out: its epoch is looked at, commands of one service follow one
 * another, an id that comes while it is being worked on shares that work, and the journal remembers the rest.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { passing } from '@fleet/process/points.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import type { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import type { Logger } from 'pino';
import { diskError } from '../disk/durable.ts';
import type { Entry, Journal } from '../releases/journal.ts';
import type { Epochs } from './epochs.ts';

export interface Request {
  command: Command;
  service: string;
  version?: string;
}

export interface Commands {
  /** `act` is done once for each command id, whatever becomes of the link meanwhile. */
  perform<T>(method: string, request: Request, act: (entry: Entry) => Promise<T>): Promise<T>;
  /** In its turn and with the epoch looked at, but never remembered: for answers that describe the disk of this moment. */
  observe<T>(method: string, request: Request, look: () => Promise<T>): Promise<T>;
  /** Takes nothing new. Resolves when what runs has ended. */
  stop(): Promise<void>;
}

interface Parts {
  epochs: Epochs;
  journal: Journal;
  log: Pick<Logger, 'info' | 'warn'>;
  /** No error that is told or remembered holds them. */
  secrets: KnownSecrets;
}

export function createCommands({ epochs, journal, log, secrets }: Parts): Commands {
  const running = new Map<string, { subject: string; work: Promise<unknown> }>();
  const last = new Map<string, Promise<unknown>>();
  let stopping = false;

  function inTurn<T>(service: string, act: () => Promise<T>): Promise<T> {
    const turn = (last.get(service) ?? Promise.resolve()).then(act);
    const settled = turn.catch(() => undefined);
    last.set(service, settled);
    settled.then(() => {
      if (last.get(service) === settled) last.delete(service);
    });
    return turn;
  }

  async function share<T>(
    method: string,
    request: Request,
    work: (subject: string) => Promise<T>,
  ): Promise<T> {
    const { command, service, version } = request;
    const subject = [method, service, version].filter(Boolean).join(' ');
    const twin = running.get(command.id);
    if (twin && twin.subject === subject) return twin.work as Promise<T>;
    if (twin) throw new FleetError('bad_request', `command ${command.id} is ${twin.subject}, not ${subject}`);
    if (stopping) throw new FleetError('stopping', `the agent is stopping and takes no ${method}`);
    const begun = epochs.admit(command).then(() => inTurn(service, () => work(subject)));
    running.set(command.id, { subject, work: begun });
    try {
      return await begun;
    } finally {
      running.delete(command.id);
    }
  }

  const guarded = (entry: Entry): Entry => ({
    part: (name, manner, act) => entry.part(name, manner, () => secrets.guard(act())),
  });

  /** One line a command in the agent's log: what was asked for, by whom, and how it ended. */
  async function told<T>(method: string, request: Request, work: Promise<T>): Promise<T> {
    const { command, service, version } = request;
    const about = { method, service, version, why: command.why };
    try {
      const value = await work;
      log.info(about, 'done');
      return value;
    } catch (thrown) {
      const { code, message } = asFleetError(thrown);
      log.warn({ ...about, code }, message);
      throw thrown;
    }
  }

  return {
    async perform(method, request, act) {
      const value = await share(method, request, (subject) =>
        told(
          method,
          request,
          journal.perform(request.command, subject, (entry) =>
            secrets.guard(tellRoom(request, act(guarded(entry)))),
          ),
        ),
      );
      // By the next turn the link has sent it.
      void passing('agent.result_acked', () => nextTurn());
      return value;
    },
    observe: (method, request, look) => share(method, request, () => tellRoom(request, look())),
    async stop() {
      stopping = true;
      while (running.size + last.size > 0)
        await Promise.allSettled([...last.values(), ...[...running.values()].map(({ work }) => work)]);
    },
  };
}

/** A disk without room is told as such wherever it showed: in a directory, in a rename, in a sync. */
async function tellRoom<T>({ service }: Request, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw diskError(error, `what ${service} needs`);
  }
}
