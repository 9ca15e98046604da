/** One agent: its past put in order, then its link to the controller until it is told to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { dial } from '@fleet/link/dial.ts';
import type { Receive } from '@fleet/link/receiving.ts';
import { openSession, type Session } from '@fleet/link/session.ts';
import {
  AGENT_METHODS,
  type AgentMethods,
  CONTROLLER_METHODS,
  type ControllerMethods,
  type Handlers,
  type Request,
} from '@fleet/protocol/messages/methods.ts';
import type { Labels } from '@fleet/protocol/words.ts';
import type { Logger } from 'pino';
import { type Commands, createCommands } from './commands/commands.ts';
import { openEpochs } from './commands/epochs.ts';
import { checkHandlers } from './handlers/check.ts';
import { requireProtocol, sayHello } from './handlers/hello.ts';
import { hostHandlers } from './handlers/host.ts';
import { logHandlers } from './handlers/log.ts';
import { releaseHandlers } from './handlers/release.ts';
import { stepHandlers } from './handlers/step.ts';
import { trustHandlers } from './handlers/trust.ts';
import type { Host } from './host.ts';
import { guarded } from './policy/guard.ts';
import { openJournal } from './releases/journal.ts';
import { homeOf, listServices } from './releases/layout.ts';
import { createReceiver } from './releases/receive.ts';
import { sweepHome } from './releases/sweep.ts';
import { reviveService } from './steps/revive.ts';
import type { Certificate } from './trust/certificate.ts';
import { REPLACED } from './upgrade/own.ts';

const HELLO_MS = 10_000;
/** How often it is asked whether half of the certificate's life is over. */
const RENEWAL_MS = 10 * 60_000;
/** How long a command that runs may take to end when the agent is stopped. */
const PATIENCE_MS = 20_000;

export interface AgentData {
  labels: Labels;
  /** Paths in the data directory. */
  epochs: string;
  journal: string;
}

export interface AgentOptions extends AgentData {
  host: Omit<Host, 'leaving'>;
  /** Where the controller takes agents. */
  controller: string;
  /** Absent in development: the link is plain. */
  certificate?: Certificate | undefined;
  log: Logger;
  /** Ends the agent. The services go on. */
  stop: AbortSignal;
}

/** What an agent says and answers, whatever link it does it over. */
export interface Agent {
  handlers: Handlers<AgentMethods>;
  receive: Receive;
  commands: Commands;
  hello(): Promise<Request<ControllerMethods, 'hello'>>;
}

/** Its past is put in order by then. */
export async function openAgent(host: Host, { labels, ...data }: AgentData): Promise<Agent> {
  const { root, disk, log } = host;
  const journal = await openJournal(data.journal, host.now, disk);
  const epochs = await openEpochs(data.epochs, disk);
  const commands = createCommands({ journal, epochs, log, secrets: host.secrets });
  await putInOrder(host);
  return {
    handlers: guarded(host.policy, {
      ...releaseHandlers(host, commands),
      ...stepHandlers(host, commands),
      ...checkHandlers(host),
      ...logHandlers(host),
      ...trustHandlers(host),
      ...hostHandlers(host),
    }),
    receive: createReceiver(root, disk),
    commands,
    hello: () => sayHello(host, labels, epochs),
  };
}

/** Resolves when `stop` has fired and what was running has ended. */
export async function runAgent(options: AgentOptions): Promise<void> {
  const { controller, certificate, log, stop } = options;
  const leaving = new AbortController();
  const hangingUp = new AbortController();
  const host: Host = { ...options.host, leaving: leaving.signal };
  const { handlers, receive, commands, hello } = await openAgent(host, options);
  await host.own.begun();
  const dialling = dial({
    url: controller,
    ...(certificate && { tls: certificate.tls }),
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
      const { protocol } = await session.ask('hello', await hello(), { timeoutMs: HELLO_MS });
      requireProtocol(protocol);
      await host.own.greeted();
      if (certificate) keepRenewed(certificate, session, log);
      return session;
    },
  });

  await aborted(stop);
  log.info('stopping; the services go on');
  await finish(commands, leaving, stop.reason === REPLACED);
  host.own.close();
  hangingUp.abort();
  await dialling;
}

/** While the session lasts. What goes wrong is tried again; where it is refused for good, the next dialling says so. */
function keepRenewed(certificate: Certificate, session: Session<ControllerMethods>, log: Logger): void {
  const look = () =>
    certificate.renew(session).then(
      (renewed) => renewed && log.info('the certificate of this host is renewed'),
      (error: unknown) => log.warn({ err: error }, 'the certificate of this host could not be renewed'),
    );
  const looking = setInterval(look, RENEWAL_MS);
  void session.closed.then(() => clearInterval(looking));
  void look();
}

/** What an earlier life of the agent, or of the host, left behind. */
async function putInOrder(host: Host): Promise<void> {
  const ended = await host.endLeftovers(host.instance);
  if (ended > 0) host.log.warn({ processes: ended }, 'ended what an interrupted hook had left running');
  const homes = (await listServices(host.root, host.disk)).map((service) =>
    homeOf(host.root, service, host.disk),
  );
  for (const home of homes) await sweepHome(home, host.now());
  await Promise.all(homes.map((home) => reviveService(host, home)));
}

/** The link stays until then, so that what ends in time is also told. Who is replaced is in no hurry. */
async function finish(commands: Commands, leaving: AbortController, replaced: boolean): Promise<void> {
  const idle = commands.stop();
  if (replaced) return idle;
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
