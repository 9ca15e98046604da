/** What a unit, or a program of supervisord, starts: written so that the service's own user can read it, and nobody else. */
import { chmod, chown, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import { HALTING, haltingText, RECIPE, recipeText } from '@fleet/units/recipe.ts';
import { realDisk } from '../disk/disk.ts';
import { errnoOf, ifThere, randomName, syncPath, writeDurably } from '../disk/durable.ts';
import type { Spec } from './spec.ts';
import type { Instance } from './supervisor.ts';

interface How {
  argv: readonly string[];
  notify: boolean;
  stop?: Parameters<typeof haltingText>[0];
}

/** To be called while nothing of it runs: then whatever runs later was started from what is written here. Throws `not_provisioned`. */
export async function writeRecipe(
  { host, home }: Instance,
  spec: Spec,
  { argv, notify, stop }: How,
): Promise<void> {
  const { user, environment, release } = spec;
  await mkdir(home, { recursive: true, mode: 0o700 });
  try {
    // Those of its group come through to what is theirs, and see nothing else.
    if (user !== undefined) await chown(home, process.getuid!(), user.gid);
    if (user !== undefined) await chmod(home, 0o710);
    if (stop !== undefined) await put(join(home, HALTING), haltingText(stop), spec);
    await put(join(home, RECIPE), recipeText({ directory: release, argv, environment, notify }), spec);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    throw notInGroup({ ...spec, host });
  }
  await syncPath(realDisk, home);
}

/** After this, nothing is started any more. How what runs is asked to end stays. */
export async function removeRecipe(home: string): Promise<void> {
  if ((await ifThere(rm(join(home, RECIPE)).then(() => true))) === true) await syncPath(realDisk, home);
}

async function put(path: string, text: string, { user }: Spec): Promise<void> {
  const made = `${path}.${randomName()}.tmp`;
  await writeDurably(realDisk, made, text, 0o600);
  if (user !== undefined) {
    await chown(made, process.getuid!(), user.gid);
    await chmod(made, 0o640);
  }
  await rename(made, path);
}

export function notInGroup({ host, service, user }: Pick<Instance, 'host' | 'service' | 'user'>): FleetError {
  return new FleetError(
    'not_provisioned',
    `the agent of ${host} is not in the group of ${user?.name}, and cannot hand ${service} its values`,
    {
      next: `fleet hosts add -p PROFILE ${host} puts it there; by hand: usermod -aG, then systemctl restart fleet-agent`,
    },
  );
}
