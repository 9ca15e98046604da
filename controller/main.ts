/** The controller: wiring, signals, and nothing else. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findBuildUser, roomsOf } from '@fleet/artifact/build/buildUser.ts';
import { clearRooms, clearWork } from '@fleet/artifact/build/rooms.ts';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import { pino } from 'pino';
import { createAgents } from './agents/agents.ts';
import { createApi } from './api/server.ts';
import { Backups } from './backup/backups.ts';
import { openBalancers } from './balancers.ts';
import { loadConfig } from './config/config.ts';
import { lockData } from './dataLock.ts';
import { CatchUp } from './deploy/catchUp.ts';
import { realClock } from './deploy/clock.ts';
import type { Deps } from './deploy/context.ts';
import { Deployer } from './deploy/deployer.ts';
import { realDisk } from './deploy/disk.ts';
import { closeRecordsOfShown } from './deploy/shownAgain.ts';
import { Turns } from './deploy/turns.ts';
import { inUse, openEndpoints } from './endpoints.ts';
import { Enrolment } from './enrol/enrolment.ts';
import { identitiesBy } from './enrol/identities.ts';
import { loopbackOnly } from './listenAddress.ts';
import packageJson from './package.json' with { type: 'json' };
import { programsFolder } from './programs/folder.ts';
import { Programs } from './programs/programs.ts';
import { Secrets } from './secrets/secrets.ts';
import { TrustChanges } from './signing/changes.ts';
import { updatesFor } from './signing/handOn.ts';
import { signShelf } from './signing/shelf.ts';
import { openSigning } from './signing/signing.ts';
import type { OnBroken } from './store/faults.ts';
import { createStore } from './store/store.ts';
import { openTrust, refuseKeys } from './trust/folder.ts';

const HELP = `Usage: fleet controller [--config controller.yaml]
       fleet controller install [--dry-run]

Runs the controller in the foreground until Ctrl-C or SIGTERM. Deployments that are
under way then park, and go on when it is started again.

  -c, --config FILE   configuration (default: controller.yaml)

Example:
  fleet controller --config /etc/fleet/controller.yaml
`;
/** Agents come back within this time of a controller's start, or of the loss of their link: their longest back-off. */
const AGENTS_BACK_MS = 6000;
/** A host that does not say by then that it has taken who may sign is asked for nothing less: its own rules hold. */
const TRUST_MS = 10_000;
/** A deployment that does not park by then is left as it is: its steps are written down. */
const PARK_MS = 30_000;

/** Resolves when the controller listens. Throws `bad_config`, `bad_request`, `not_loopback`, `not_initialised`, `key_too_open`, `port_in_use`, `data_in_use`. */
export async function main(argv: string[]): Promise<void> {
  if (argv[0] === 'install') return (await import('./install/main.ts')).main(argv.slice(1));
  const { config, help } = readFlags(argv);
  if (help) process.stdout.write(HELP);
  else await runController(config);
}

function readFlags(argv: string[]): { config: string; help: boolean } {
  const config = { type: 'string', short: 'c', default: 'controller.yaml' } as const;
  const help = { type: 'boolean', short: 'h', default: false } as const;
  try {
    return parseArgs({ args: argv, options: { config, help } }).values;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new FleetError('bad_request', message, { next: 'fleet controller --help', cause });
  }
}

async function runController(file: string): Promise<void> {
  const config = await loadConfig(file);
  if (config.development) {
    loopbackOnly(config.listen);
    refuseKeys(config.data, file);
  }
  const dir = (name: string) => {
    const path = join(config.data, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  };
  dir('.');
  const unlock = lockData(config.data);
  const trust = config.development ? undefined : await openTrust(config.data, Date.now, file);
  const endpoints = await openEndpoints(config, trust);
  const known = new KnownSecrets();
  const log = pino(
    { level: process.env.FLEET_LOG ?? 'info' },
    known.lines(pino.destination({ fd: 2, sync: true })),
  );
  const broken: OnBroken = ({ code, message, next }) => {
    log.fatal({ code, next }, `${message}; the controller ends`);
    process.exit(1);
  };
  const store = await createStore(join(config.data, 'fleet.sqlite'), broken, known);
  const signing = config.development ? null : openSigning(config.data, Date.now);
  if (signing) await signShelf(store, signing);
  const balancers = await openBalancers(config, store.hosts, dir('balancers'), (about, message) =>
    log.warn(about, message),
  );

  const parking = new AbortController();
  const turns = new Turns();
  const enrolment =
    trust && signing
      ? new Enrolment({
          store,
          trust,
          signing,
          clock: Date.now,
          agentsPort: endpoints.agentsPort,
          sweep: () => agents.sweep(),
        })
      : undefined;
  const agents = createAgents({
    server: endpoints.agents,
    identities: enrolment && identitiesBy(enrolment, Date.now),
    path: AGENT_PATH,
    fleet: store.fleet,
    version: packageJson.version,
    log,
    onHello: async (hello) => {
      const seen = hello.epochs?.[store.fleet] ?? 0;
      if (await store.raiseEpochAbove(seen))
        log.warn(
          { host: hello.host, seen, epoch: store.epoch },
          'this agent has a later history than the database: the epoch is raised above it',
        );
      await store.hosts.save(hello);
      await balancers.refresh();
    },
    onGreeted: async (hello, ask) => {
      if (signing === null) return;
      for (const update of await updatesFor(hello, store, signing))
        await ask('trust.update', update, { timeoutMs: TRUST_MS });
    },
    onConnected: () => catchUp.wake(),
    onGone: (host) => {
      deps.settledAt = realClock.now() + AGENTS_BACK_MS;
      store.hosts
        .seen(host)
        .catch((error: unknown) => log.error({ err: error, host }, 'not written: when a host was last seen'));
    },
  });
  const deps: Deps = {
    config,
    store,
    agents,
    balancer: balancers.of,
    clock: realClock,
    disk: realDisk,
    turns,
    secrets: new Secrets(config.secrets, known, store.fingerprintKey),
    log,
    signing,
    outputs: dir('outputs'),
    settledAt: realClock.now() + AGENTS_BACK_MS,
    parking: parking.signal,
  };
  const dirs = { git: dir('git'), work: dir('work'), artifacts: dir('artifacts'), logs: dir('logs') };
  const rooms = roomsOf(config.data);
  const builds = await findBuildUser(config.build_user, rooms);
  await clearWork(dirs.work);
  await clearRooms(builds.as, rooms);
  log.info(`builds run ${builds.told}`);
  const building = { store, config, turns, clock: realClock, signing, dirs, buildUser: builds.as };
  const deployer = new Deployer(deps, building);
  const catchUp = new CatchUp(deps, deployer);
  const backups = new Backups({ store, balancers: dir('balancers'), version: packageJson.version });
  const programs = new Programs({ folder: programsFolder(config), store, signing, dirs, log });
  await programs.register();
  const changes = signing && new TrustChanges({ signing, store, agents, log });
  const api = await createApi(
    {
      ...deps,
      deployer,
      catchUp,
      refreshBalancers: balancers.refresh,
      backups,
      programs,
      trust: changes,
      enrolment,
      startedAt: new Date(),
      builds: builds.told,
      version: packageJson.version,
    },
    log,
    endpoints.people,
    { development: config.development, origins: config.origins, now: Date.now },
  );

  await endpoints.listenForAgents();
  await api.listen(endpoints.address).catch(async (error: unknown) => {
    await endpoints.close();
    throw inUse(error, config.listen, 'listen');
  });
  log.info({ url: endpoints.url(), data: config.data, fleet: store.fleet }, 'the controller listens');
  if (config.development)
    log.warn('DEVELOPMENT: the link is plain, nobody is asked who they are, and nothing is signed');
  await deployer.takeUp();
  const looking = Promise.all([closeRecordsOfShown(deps), catchUp.run()]);

  const close = async () => {
    // The server waits for every connection, and those of the agents do not end by themselves.
    await agents.close();
    await endpoints.close();
    await api.close();
    await balancers.close();
    await store.close();
    unlock();
  };
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping: deployments park and go on at the next start');
    parking.abort();
    const late = setTimeout(() => process.exit(0), PARK_MS);
    void Promise.all([deployer.idle(), backups.idle(), looking]).then(async () => {
      await close();
      clearTimeout(late);
      process.exit(0);
    });
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
}
