/** I2, I3, I13, I15: the releases as they lie on the disks at the end, and where a rollback may go. */
import { existsSync, lstatSync, readdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { Deployment } from '../database.ts';
import type { Evidence } from '../read.ts';
import { differences, identityOf, pathsBelow, readManifest } from '../tree.ts';
import type { Violation } from '../violation.ts';

export function releases(evidence: Evidence): Violation[] {
  const { run, end: at } = evidence;
  return [
    ...run.hosts.flatMap((host) => {
      const directory = join(evidence.directory, 'disks', host, run.service, 'releases');
      if (!existsSync(directory)) return [];
      return [
        ...readdirSync(directory).flatMap((version) => content(evidence, host, directory, version)),
        ...safety(directory).map((what): Violation => ({ id: 'I15', at, what: `${host}: ${what}` })),
        ...wayBack(evidence, host, directory),
      ];
    }),
    ...transfers(evidence),
    ...unproven(evidence),
  ];
}

function content(evidence: Evidence, host: string, directory: string, version: string): Violation[] {
  const { run, end, currents } = evidence;
  const path = join(evidence.directory, 'manifests', run.service, `${version}.json`);
  const activated = currents.get(host)?.spans.filter((span) => span.value === version) ?? [];
  const isCurrent = activated.at(-1)?.to === Number.POSITIVE_INFINITY;
  const id = activated.length > 0 && !isCurrent ? 'I3' : 'I2';
  const say = (what: string): Violation[] => [{ id, at: end, what: `${host}: releases/${version} ${what}` }];
  if (!existsSync(path)) return say('has no manifest on the controller');
  const manifest = readManifest(path);
  if (identityOf(manifest) !== manifest.identity) return say('has a manifest whose identity is not its own');
  const found = differences(join(directory, version), manifest);
  return found.length === 0
    ? []
    : say(`is not what its manifest says: ${found.slice(0, 5).join('; ')} (${found.length} in all)`);
}

function safety(directory: string): string[] {
  const { uid, gid } = lstatSync(directory);
  return pathsBelow(directory).flatMap((path) => {
    const stat = lstatSync(join(directory, path));
    const wrong = unsafe(stat) ?? (stat.uid === uid && stat.gid === gid ? null : 'belongs to somebody else');
    return wrong === null ? [] : [`releases/${path} ${wrong}`];
  });
}

function unsafe(stat: Stats): string | null {
  if (stat.isBlockDevice() || stat.isCharacterDevice()) return 'is a device';
  if (stat.isFIFO() || stat.isSocket()) return 'is a pipe or a socket';
  return (stat.mode & 0o7000) !== 0 && !stat.isSymbolicLink() ? 'has a setuid, setgid or sticky bit' : null;
}

/** The versions that a host was verified on before a moment, the newest last, each once in a row. */
function successes({ database }: Evidence, host: string, before: number): string[] {
  const versions = database.points
    .filter((point) => point.host === host && point.at < before)
    .map(({ version }) => version);
  return versions.filter((version, index) => version !== versions[index - 1]);
}

function wayBack(evidence: Evidence, host: string, directory: string): Violation[] {
  const prior = successes(evidence, host, Number.POSITIVE_INFINITY).at(-2);
  if (prior === undefined || existsSync(join(directory, prior))) return [];
  const what = `${host} was verified on ${prior} before its last version, and releases/${prior} is not there`;
  return [{ id: 'I13', at: evidence.end, what }];
}

/** A rollback to what ran before finds it on the hosts. */
function transfers(evidence: Evidence): Violation[] {
  const sent = (deployment: Deployment, host: string) =>
    deployment.steps.some(
      (step) => step.kind === 'stage' && step.host === host && step.outcome === 'changed',
    );
  return evidence.database.deployments
    .filter(({ kind }) => kind === 'rollback')
    .flatMap((deployment) =>
      deployment.hosts
        .filter(({ host }) => sent(deployment, host))
        .filter(({ host }) => successes(evidence, host, deployment.begun).at(-2) === deployment.version)
        .map(({ host }): Violation => {
          const what = `rollback ${deployment.id} had to send ${deployment.version} to ${host}, which ran it before`;
          return { id: 'I13', at: deployment.begun, what };
        }),
    );
}

/** Where a rollback may go is what has passed its smoke test. */
function unproven({ database, run }: Evidence): Violation[] {
  const broken = new Set(run.versions.filter((each) => each.broken).map(({ version }) => version));
  return database.points
    .filter(({ version }) => broken.has(version))
    .map(({ host, version, at }): Violation => {
      const what = `${version} is a rollback point of ${host}, and fails its smoke test`;
      return { id: 'I13', at, what };
    });
}
