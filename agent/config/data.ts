/** The agent's own directory: one agent at a time, and one id that outlives its restarts. */
import { randomUUID } from 'node:crypto';
import { chmod, link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { identify, lives, type ProcessIdentity } from '@fleet/process/proc.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { realDisk } from '../disk/disk.ts';
import { errnoOf, ifThere, makeDirectory, randomName, writeDurably } from '../disk/durable.ts';

export interface DataDirectory {
  instance: string;
  epochs: string;
  journal: string;
  /** What joining a fleet left here: see trust/trust.ts. */
  trust: string;
  /** Lets another agent have it. */
  release(): Promise<void>;
}

/** Throws `data_in_use` while another agent lives in it. */
export async function takeDataDirectory(path: string): Promise<DataDirectory> {
  // Those above it are not closed: beside it, below ROOT, services run as other users.
  await makeDirectory(realDisk, dirname(path), 0o755);
  await makeDirectory(realDisk, path, 0o700);
  // Somebody else may have made it, for more eyes.
  await chmod(path, 0o700);
  const lock = join(path, 'lock');
  await takeLock(lock);
  // Left by an agent that died while it wrote one of its files.
  for (const name of await readdir(path))
    if (name.endsWith('.tmp')) await rm(join(path, name), { force: true });
  return {
    instance: await instanceIn(join(path, 'instance')),
    epochs: join(path, 'epochs.json'),
    journal: join(path, 'journal'),
    trust: join(path, 'trust'),
    release: () => rm(lock, { force: true }),
  };
}

/** Linked into place with its content, so that nobody ever reads a lock without an owner. */
async function takeLock(lock: string): Promise<void> {
  const mine = `${lock}.${randomName()}`;
  await writeFile(mine, JSON.stringify(identify(process.pid)), { flag: 'wx', mode: 0o600 });
  try {
    while (!(await linkedTo(mine, lock))) {
      const owner = await ownerOf(lock);
      if (owner && lives(owner))
        throw new FleetError('data_in_use', `another agent (pid ${owner.pid}) runs with ${lock}`, {
          next: 'Stop it first, or give this one a --data directory of its own.',
        });
      await setAside(lock, owner);
    }
  } finally {
    await rm(mine, { force: true });
  }
}

async function linkedTo(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Nobody where a power cut left the name without its content: the agent that wrote it is gone too. */
async function ownerOf(lock: string): Promise<ProcessIdentity | undefined> {
  const text = await ifThere(readFile(lock, 'utf8'));
  return text ? (JSON.parse(text) as ProcessIdentity) : undefined;
}

/** Takes a dead owner's lock away; gives it back where somebody living took it in between. */
async function setAside(lock: string, dead: ProcessIdentity | undefined): Promise<void> {
  const aside = `${lock}.${randomName()}`;
  if ((await ifThere(rename(lock, aside).then(() => true))) === undefined) return;
  const taken = await ownerOf(aside);
  if (taken && taken.pid !== dead?.pid && lives(taken)) await linkedTo(aside, lock);
  await rm(aside, { force: true });
}

async function instanceIn(path: string): Promise<string> {
  const known = await ifThere(readFile(path, 'utf8'));
  if (known) return known.trim();
  const instance = randomUUID();
  await writeDurably(realDisk, path, `${instance}\n`);
  return instance;
}
