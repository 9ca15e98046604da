/** Where a service's fleet.yaml can be read without building anything. */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { type Service, service } from '@fleet/protocol/service.ts';
import type { Source } from './controller.ts';
import { type Inspected, inspectText, inspectYaml } from './load.ts';

const run = promisify(execFile);

/** A repository on this machine, as opposed to a URL or HOST:PATH. */
export function isLocalRepository(git: string): boolean {
  return !/^[a-z][a-z0-9+.-]*:/i.test(git) && !/^[^/]+:/.test(git);
}

/** With paths that hold from everywhere. `folder` is where controller.yaml lies. */
export function resolveSource(source: Source, folder: string): Source {
  if (!('git' in source)) return { directory: resolve(folder, source.directory) };
  return isLocalRepository(source.git) ? { ...source, git: resolve(folder, source.git) } : source;
}

export type Peek =
  | { found: Inspected<Service>; file: string }
  /** `elsewhere`: nothing can be said without fetching it. */
  | { missing: string }
  | { elsewhere: string };

/** fleet.yaml as a build of this (resolved) source would find it now. Changes nothing and fetches nothing. */
export async function peekService(source: Source): Promise<Peek> {
  if (!('git' in source)) {
    const file = join(source.directory, 'fleet.yaml');
    if (!(await isFolder(source.directory))) return { missing: `there is no folder ${source.directory}` };
    return inspectYaml(file, service).then(
      (found) => ({ found, file }),
      (error: unknown) => ({ missing: asFleetError(error).message }),
    );
  }
  if (!isLocalRepository(source.git)) return { elsewhere: `${source.git} is not on this machine` };
  if (!(await isFolder(source.git))) return { missing: `there is no repository ${source.git}` };
  const inside = join(source.directory ?? '.', 'fleet.yaml');
  const file = `${source.git}@${source.ref}:${inside}`;
  try {
    const blob = ['cat-file', 'blob', `${source.ref}:${inside}`];
    const { stdout } = await run('git', ['-C', source.git, ...blob], {
      // Nothing of GIT_DIR and the like: they would point elsewhere.
      env: { PATH: process.env.PATH, HOME: process.env.HOME, LC_ALL: 'C' },
      timeout: 10_000,
      maxBuffer: 2 ** 21,
    });
    return { found: inspectText(stdout, service, file), file };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { elsewhere: 'git is not installed' };
    const why = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1);
    return { missing: `${file} cannot be read: ${why ?? asFleetError(error).message}` };
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
