/** Which release `current` names, and which ones it named before. */
import { join } from 'node:path';
import { passing } from '@fleet/process/points.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { AgentMethods, Reply, Request } from '@fleet/protocol/messages/methods.ts';
import { diskError, ifThere, randomName, syncPath, writeDurably } from '../disk/durable.ts';
import type { Trust } from '../trust/trust.ts';
import type { Entry } from './journal.ts';
import { type Home, listReleases, readCurrent } from './layout.ts';
import { requireSigned } from './signature.ts';

type Activate = Request<AgentMethods, 'release.activate'>;

/** `clock`: monotonic milliseconds. */
export async function activateRelease(
  home: Home,
  { version, identity }: Activate,
  entry: Entry,
  { clock, trust }: { clock: () => number; trust: Trust },
): Promise<Reply<AgentMethods, 'release.activate'>> {
  const release = await requireSigned(home, version, trust);
  if (release.identity !== identity)
    throw new FleetError('version_exists', `${home.service} ${version} is on this host with other content`, {
      next: 'Deploy again: staging compares the content.',
    });
  // Asked once, however often the command is done: after a crash behind the switch, `current` would say what it is now.
  const from = await entry.part('from', { repeatable: true }, () => readCurrent(home));
  const began = clock();
  if ((await readCurrent(home)) !== version) await switchTo(home, version);
  const switchMs = clock() - began;
  await rememberActivation(home, version);
  return { from, changed: from !== version, switchMs };
}

/** What a crash leaves beside `current` begins like this. */
export const UNFINISHED = '.current-';

/** A link renamed over a link: whoever opens `current` meanwhile gets the old release or the new one. */
async function switchTo(home: Home, version: string): Promise<void> {
  const temporary = join(home.directory, `${UNFINISHED}${randomName()}`);
  try {
    await passing('agent.temp_link', () => home.disk.symlink(join('releases', version), temporary));
    await passing('agent.rename', () => home.disk.rename(temporary, home.current));
    await passing('agent.directory_sync', () => syncPath(home.disk, home.directory));
  } catch (error) {
    await home.disk.rm(temporary, { force: true });
    const known = diskError(error, home.current);
    if (known.code === 'disk_full') throw known;
    throw new FleetError('switch_failed', `${home.current} could not be switched: ${known.message}`, {
      cause: error,
    });
  }
}

/** Versions, newest activation first, each once; also ones that are no longer on the disk are not in it. */
export async function readActivations(home: Home): Promise<string[]> {
  const text = await ifThere(home.disk.readFile(home.activations, 'utf8'));
  return text === undefined ? [] : (JSON.parse(text) as string[]);
}

async function rememberActivation(home: Home, version: string): Promise<void> {
  const before = await readActivations(home);
  if (before[0] === version) return;
  await writeActivations(home, [version, ...before.filter((other) => other !== version)]);
}

export async function writeActivations(home: Home, versions: string[]): Promise<void> {
  await writeDurably(home.disk, home.activations, JSON.stringify(versions));
}

/** What is on the disk: newest activation first, then what was never active, by name. */
export async function orderedReleases(home: Home): Promise<{ activated: string[]; others: string[] }> {
  const present = await listReleases(home);
  const activated = (await readActivations(home)).filter((version) => present.includes(version));
  return { activated, others: present.filter((version) => !activated.includes(version)).sort() };
}
