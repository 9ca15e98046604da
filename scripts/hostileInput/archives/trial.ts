/** One release that means harm, sent to an agent as a controller sends any other, and what became of the host. */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeManifest } from '@fleet/artifact/manifest.ts';
import { asFleetError, type Code } from '@fleet/protocol/errors.ts';
import type { Entry, Manifest } from '@fleet/protocol/manifest.ts';
import { streamName } from '@fleet/protocol/messages/release.ts';
import { type AgentProgram, SERVICE } from '../agentProgram.ts';
import { changesBetween, oddities, survey } from '../survey.ts';

export interface HostileRelease {
  name: string;
  /** What it says of itself. A liar's need not be true. */
  manifest: Manifest;
  /** Sent in the manifest's place, where no manifest has these bytes. */
  manifestBytes?: Buffer;
  artifact: Buffer;
  /** Digests that were offered instead of the true ones. */
  offered?: { manifest?: string; artifact?: string };
}

export interface Verdict {
  /** The code that it was refused with; `harmless` where it became exactly the tree of its manifest. */
  ended: Code | 'harmless';
  /** What should not be. */
  faults: string[];
}

/** Refusals that tell what is wrong. Anything else, `internal` above all, is a fault. */
const REFUSALS = new Set<Code>([
  'bad_archive',
  'transfer_failed',
  'disk_full',
  'bad_message',
  'bad_config',
  'not_signed',
  'policy_refused',
]);

/** What arrived may be the beginning of what should have come, and stays for the next try. */
const RESUMABLE = new Set<string>(['transfer_failed', 'disk_full']);

export async function tryRelease(agent: AgentProgram, hostile: HostileRelease): Promise<Verdict> {
  const before = agent.look();
  const { version } = hostile.manifest;
  let ended: Verdict['ended'] = 'harmless';
  const faults: string[] = [];
  try {
    await deliver(agent, hostile);
  } catch (thrown) {
    const error = asFleetError(thrown);
    ended = error.code;
    if (!REFUSALS.has(error.code)) faults.push(`refused with ${error.code}: ${error.message}`);
  }
  if (ended === 'harmless') {
    faults.push(...treeFaults(join(agent.home, 'releases', version), hostile.manifest.files));
    removeRelease(agent, version);
  } else {
    const activated = await activate(agent, hostile.manifest);
    if (activated !== 'no_release')
      faults.push(`it was not taken, and its activation ended with ${activated}`);
    if (RESUMABLE.has(ended)) removeParts(agent);
  }
  faults.push(...changesBetween(before, agent.look()));
  const complaint = await agent.complaint();
  if (complaint !== undefined) faults.push(complaint);
  return { ended, faults };
}

async function deliver(agent: AgentProgram, hostile: HostileRelease): Promise<void> {
  const { controller } = agent;
  const { version, identity } = hostile.manifest;
  const parts = {
    manifest: hostile.manifestBytes ?? encodeManifest(hostile.manifest),
    artifact: hostile.artifact,
  };
  const offer = (part: 'manifest' | 'artifact') => ({
    size: parts[part].length,
    sha256: hostile.offered?.[part] ?? createHash('sha256').update(parts[part]).digest('hex'),
  });
  const answer = await controller.ask('release.offer', {
    ...{ command: controller.command(), service: SERVICE, version, identity },
    manifest: offer('manifest'),
    artifact: { ...offer('artifact'), compression: hostile.manifest.artifact.compression },
    unpacked: 0,
  });
  if (answer.state === 'present') throw new Error(`${version} is there already`);
  for (const part of ['manifest', 'artifact'] as const) {
    const path = join(agent.dir, part);
    writeFileSync(path, parts[part]);
    await controller.session.send({
      name: streamName(SERVICE, version, part),
      path,
      from: 0,
      size: parts[part].length,
    });
  }
  await controller.ask('release.commit', {
    command: controller.command(),
    service: SERVICE,
    version,
    identity,
  });
}

async function activate(agent: AgentProgram, { version, identity }: Manifest): Promise<string> {
  const request = { command: agent.controller.command(), service: SERVICE, version, identity };
  return agent.controller.ask('release.activate', request).then(
    () => 'success',
    (error: unknown) => asFleetError(error).code,
  );
}

/** Looked at without any of the code that put it there. */
function treeFaults(dir: string, files: readonly Entry[]): string[] {
  const faults = oddities(dir);
  const there = survey(dir).map(({ path }) => path);
  const named = new Map(files.map((entry) => [entry.path, entry]));
  for (const path of there) if (!named.has(path)) faults.push(`${path} is in no manifest`);
  if (there.length !== files.length) faults.push(`${there.length} of ${files.length} entries are there`);
  for (const entry of files) {
    const full = join(dir, entry.path);
    const stat = lstatSync(full, { throwIfNoEntry: false });
    const right =
      entry.type === 'directory'
        ? stat?.isDirectory()
        : entry.type === 'link'
          ? stat?.isSymbolicLink() && readlinkSync(full) === entry.target
          : stat?.isFile() &&
            (stat.mode & 0o7777) === entry.mode &&
            createHash('sha256').update(readFileSync(full)).digest('hex') === entry.sha256;
    if (!right) faults.push(`${entry.path} is not what the manifest says`);
  }
  return faults;
}

function removeRelease({ home }: AgentProgram, version: string): void {
  for (const path of [
    `releases/${version}`,
    `manifests/${version}.json`,
    `sealed/${version}.json`,
    `stats/${version}.json`,
    `signatures/${version}.json`,
  ])
    rmSync(join(home, path), { recursive: true, force: true });
}

function removeParts({ home }: AgentProgram): void {
  for (const name of readdirSync(join(home, 'staging')))
    if (name.endsWith('.part')) rmSync(join(home, 'staging', name));
}
