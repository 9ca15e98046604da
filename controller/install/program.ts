/** The program that is installed: the bundle that this very program is part of, or a checkout, where it lies. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';
import self from '../package.json' with { type: 'json' };
import { PROGRAMS } from './places.ts';

export type Source =
  /** Folder of a bundle: with `fleet`, `bin/node` and `lib`; and where it comes to lie. */
  { kind: 'bundle'; folder: string; release: string } | { kind: 'checkout'; command: string[] };

/** `launcher`: the file that Node was started with. Throws `bad_request` where it is neither. */
export async function sourceOf(launcher: string, node: string): Promise<Source> {
  const folder = dirname(dirname(launcher));
  if (existsSync(join(folder, 'fleet')) && existsSync(join(folder, 'bin/node'))) {
    // Started as it was installed: it is what it is.
    const release = dirname(folder) === PROGRAMS ? basename(folder) : await releaseOf(folder);
    return { kind: 'bundle', folder, release: join(PROGRAMS, release) };
  }
  if (basename(launcher) === 'fleet.js') return { kind: 'checkout', command: [node, launcher] };
  throw new FleetError('bad_request', `${launcher} is part of no bundle and of no checkout`, {
    next: 'unpack fleet-controller-VERSION-PLATFORM.tar.gz, and run the fleet in it',
  });
}

export function commandOf(source: Source): string[] {
  return source.kind === 'bundle' ? [join(PROGRAMS, 'current/fleet')] : source.command;
}

/** By all of its content, so that another one is never put over it. */
async function releaseOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const path of (await readdir(folder, { recursive: true })).sort()) {
    const found = await lstat(join(folder, path));
    hash.update(`${path}\0${found.mode & 0o111}\0`);
    if (found.isSymbolicLink()) hash.update(await readlink(join(folder, path)));
    else if (found.isFile())
      for await (const part of createReadStream(join(folder, path))) hash.update(part as Buffer);
  }
  return `${self.version}-${hash.digest('hex').slice(0, 12)}`;
}
