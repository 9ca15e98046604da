/** One agent: its past put in order, then its link to the controller until it is told to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { dial } from '@fleet/link/dial.ts';
import { openSession } from '@fleet/link/session.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type Handlers,
} from '@fleet/protocol/messages/methods.ts';
import type { Labels } from '@fleet/protocol/words.ts';
import type { Logger } from 'pino';
import { type Commands, createCommands } from './commands/commands.ts';
import { openEpochs } from './commands/epochs.ts';
import { checkHandlers } from './handlers/check.ts';
import { sayHello } from './handlers/hello.ts';
import { logHandlers } from './handlers/log.ts';
import { releaseHandlers } from './handlers/release.ts';
import { stepHandlers } from './handlers/step.ts';
import type { Host } from './host.ts';
import { openJournal } from './releases/journal.ts';
import { homeOf, listServices } from './releases/layout.ts';
import { createReceiver } from './releases/receive.ts';
import { sweepHome } from './releases/sweep.ts';
import { endLeftovers } from './steps/leftovers.ts';
import { reviveService } from './steps/revive.ts';

const HELLO_MS = 10_000;
/** How long a command that runs may take to end when the agent is stopped. */
const PATIENCE_MS = 20_000;

export interface AgentOptions {
  host: Omit<Host, 'leaving'>;
  /** Where the controller takes agents. */
  controller: string;
  labels: Labels;
  /** Paths in the data directory. */
  epochs: string;
  journal: string;
  log: Logger;
  /** Ends the agent. The services go on. */
  stop: AbortSignal;
}

/** Resolves when `stop` has fired and what was running has ended. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { controller, labels, log, stop } = options;
  const leaving = new AbortController();
  const hangingUp = new AbortController();
  const host: Host = { ...options.host, leaving: leaving.signal };
  const journal = await openJournal(options.journal, host.now);
  const epochs = await openEpochs(options.epochs);
  const commands = createCommands({ journal, epochs, log });
  await putInOrder(host);

  const handlers: Handlers<AgentMethods> = {
    ...releaseHandlers(host, commands),
    ...stepHandlers(host, commands),
    ...checkHandlers(host),
    ...logHandlers(host),
  };
  const receive = createReceiver(host.root);
  const dialling = dial({
    url: controller,
    log,
    signal: hangingUp.signal,
    async connect(socket) {
      const session = openSession({
        socket,
        theirs: CONTROLLER_METHODS,
        ours: AGENT_METHODS,
        handlers,
        receive,
      });
      await session.ask('hello', await sayHello(host, labels, epochs), { timeoutMs: HELLO_MS });
      return session;
    },
  });

  await aborted(stop);
  log.info('stopping; the services go on');
  await finish(commands, leaving);
  hangingUp.abort();
  await dialling;
}

/** What an earlier life of the agent, or of the host, left behind. */
async function putInOrder(host: Host): Promise<void> {
  const ended = endLeftovers(host.instance);
  if (ended > 0) host.log.warn({ processes: ended }, 'ended what an interrupted hook had left running');
  const homes = (await listServices(host.root)).map((service) => homeOf(host.root, service));
  for (const home of homes) await sweepHome(home, host.now());
  await Promise.all(homes.map((home) => reviveService(host, home)));
}

/** The link stays until then, so that what ends in time is also told. */
async function finish(commands: Commands, leaving: AbortController): Promise<void> {
  const idle = commands.stop();
  const patience = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: patience.signal }).then(
    () => leaving.abort(),
    () => {},
  );
  await idle;
  patience.abort();
  await late;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
