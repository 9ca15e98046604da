/** The agent's program: settings, the real host, signals. Nothing else knows every part. */
import { realpath } from 'node:fs/promises';
import { runChecks } from '@fleet/checks/runChecks.ts';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { run } from '@fleet/process/run.ts';
import { KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import pino from 'pino';
import { runAgent } from './agent.ts';
import { HELP, readSettings } from './config/config.ts';
import { takeDataDirectory } from './config/data.ts';
import { realDisk } from './disk/disk.ts';
import { makeDirectory } from './disk/durable.ts';
import packageJson from './package.json' with { type: 'json' };
import { startedByUnit } from './policy/byUnit.ts';
import { requireOwnPlace } from './policy/place.ts';
import { createPolicy } from './policy/policy.ts';
import { endServices } from './steps/endServices.ts';
import { endLeftovers } from './steps/leftovers.ts';
import { supervisorFor } from './supervisors/kinds.ts';
import { revive } from './supervisors/revive.ts';
import { openCertificate } from './trust/certificate.ts';
import { openTrust } from './trust/trust.ts';
import { openOwn, REPLACED } from './upgrade/own.ts';
import { selfTest, testRelease } from './upgrade/selfTest.ts';
import { systemdOf } from './upgrade/systemd.ts';
import { type Versions, versionsOf } from './upgrade/versions.ts';

/** Resolves when the agent was asked to stop and has. Throws `bad_request`, `bad_config`, `data_in_use`. */
export async function main(argv: string[]): Promise<void> {
  // Loaded only where it is wanted: it is done once, and the agent runs for months.
  if (argv[0] === 'join') return (await import('./join/main.ts')).main(argv.slice(1));
  if (argv[0] === 'doctor') return (await import('./doctor/main.ts')).main(argv.slice(1));
  if (argv[0] === '--version') {
    process.stdout.write(`${packageJson.version}\n`);
    return;
  }
  const settings = await readSettings(argv);
  if (settings === 'help') {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  if (settings.selfTest) {
    const versions = runningVersions(await realpath(settings.root));
    process.stdout.write(`${await selfTest(settings, versions)}\n`);
    return;
  }
  const secrets = new KnownSecrets();
  const log = pino(
    { level: process.env.FLEET_LOG ?? 'info', base: { host: settings.host } },
    secrets.lines(pino.destination(2)),
  );
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  process.on('unhandledRejection', (error) => {
    log.fatal({ err: error }, 'a fault in the agent; the services go on');
    process.exit(1);
  });

  // Users that services run as read what the agent makes, unless it says otherwise.
  process.umask(0o022);
  await makeDirectory(realDisk, settings.root, 0o755);
  const root = await realpath(settings.root);
  const { host: name, policy: config, file } = settings;
  const data = await takeDataDirectory(settings.data);
  try {
    const trust = openTrust(data.trust, name);
    const joined = trust.says() !== undefined;
    if (joined) for (const what of ['root', 'data'] as const) await requireOwnPlace(what, settings[what]);
    const policy = createPolicy({ host: name, root, joined, byUnit: startedByUnit(), config, file });
    policy.admitLabels(settings.labels);
    if (!joined)
      log.warn('this host has joined no fleet: releases are taken unsigned, for development alone');
    const own = openOwn({
      ...{ root, disk: realDisk, log },
      versions: runningVersions(root),
      systemd: systemdOf(process.env),
      test: (versions) => testRelease(root, versions, argv),
      leave: () => stop.abort(REPLACED),
    });
    const host = {
      name,
      instance: data.instance,
      root,
      policy,
      disk: realDisk,
      trust,
      run,
      endLeftovers: (instance: string) => endLeftovers(instance, Object.values(policy.told.runAs)),
      runChecks,
      supervisorFor,
      secrets,
      revive,
      own,
      examine: async ({ packages }: { packages: boolean }) =>
        (await import('./doctor/examine.ts')).lookAround(settings, packages),
      environment: cleanEnvironment(),
      clock: () => performance.now(),
      now: () => Date.now(),
      log,
    };
    if (settings.endServices) {
      if (!(await endServices({ ...host, leaving: stop.signal }))) process.exitCode = 1;
      return;
    }
    const { controller, labels } = settings;
    await runAgent({
      host,
      controller,
      certificate: settings.joined && openCertificate(settings.joined, host.now),
      labels,
      epochs: data.epochs,
      journal: data.journal,
      log,
      stop: stop.signal,
    });
  } finally {
    await data.release();
  }
}

/** In a bundle this file is the program itself. */
function runningVersions(root: string): Versions {
  return versionsOf(root, { agent: import.meta.filename, node: process.execPath });
}
