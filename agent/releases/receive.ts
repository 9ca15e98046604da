/** The two streams of a release, written to staging as they come. What an interruption leaves is where the next try begins. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Sink } from '@fleet/link/receiving.ts';
import { passing } from '@fleet/process/points.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { parseStreamName, type StreamPart } from '@fleet/protocol/messages/release.ts';
import { type Disk, type OpenFile, realDisk } from '../disk/disk.ts';
import { diskError, ifThere } from '../disk/durable.ts';
import { type Home, homeOf, parsePartName } from './layout.ts';

export interface Part {
  path: string;
  sha256: string;
}

/** Partial or whole streams of one version; after an offer there is one. */
export async function listParts(home: Home, version: string, part: StreamPart): Promise<Part[]> {
  const names = (await ifThere(home.disk.readdir(home.staging))) ?? [];
  return names.flatMap((name) => {
    const found = parsePartName(name);
    return found?.version === version && found.part === part
      ? [{ path: join(home.staging, name), sha256: found.sha256 }]
      : [];
  });
}

/** Throws `transfer_failed` where nothing of that name was offered, or not from there. */
export function createReceiver(
  root: string,
  disk: Disk = realDisk,
): (name: string, from: number, size: number) => Promise<Sink> {
  /** Who writes a part now. A link that is lost may not know it yet when its successor sends the rest. */
  const writers = new Map<string, object>();

  return async (name, from, size) => {
    const stream = parseStreamName(name);
    if (!stream) throw new FleetError('transfer_failed', `${name} is not the name of a stream`);
    const [part] = await listParts(homeOf(root, stream.service, disk), stream.version, stream.part);
    if (!part) throw failed(name, 'it was not offered to this host');

    const handle = await disk.open(part.path, 'r+');
    const writer = {};
    writers.set(part.path, writer);
    try {
      const here = (await handle.stat()).size;
      if (from > here) throw failed(name, `it goes on at byte ${from}, but only ${here} are here`);
      await handle.truncate(from);
      return await sinkOf({
        name,
        part,
        disk,
        handle,
        from,
        size,
        isMine: () => writers.get(part.path) === writer,
      });
    } catch (error) {
      await handle.close();
      throw diskError(error, part.path);
    }
  };
}

async function sinkOf(stream: {
  name: string;
  part: Part;
  disk: Disk;
  handle: OpenFile;
  from: number;
  size: number;
  isMine: () => boolean;
}): Promise<Sink> {
  const { name, part, disk, handle, size, isMine } = stream;
  const hash = createHash('sha256');
  if (stream.from > 0)
    for await (const chunk of handle.createReadStream({ start: 0, end: stream.from - 1, autoClose: false }))
      hash.update(chunk);
  let at = stream.from;
  let open = true;

  async function close(): Promise<void> {
    if (!open) return;
    open = false;
    await handle.close();
  }
  async function giveUp(error: FleetError): Promise<never> {
    await close();
    if (isMine()) await disk.rm(part.path, { force: true });
    throw error;
  }

  return {
    async write(chunk) {
      if (!isMine()) throw failed(name, 'a newer connection sends it');
      if (at + chunk.length > size) return giveUp(failed(name, `more than the ${size} bytes announced came`));
      try {
        for (let written = 0; written < chunk.length; ) {
          const { bytesWritten } = await passing('agent.chunk_written', () =>
            handle.write(chunk, written, chunk.length - written, at + written),
          );
          written += bytesWritten;
        }
      } catch (error) {
        // The room that the part takes is what the services of this host need most now.
        return giveUp(diskError(error, part.path));
      }
      hash.update(chunk);
      at += chunk.length;
    },
    async end() {
      if (!isMine()) throw failed(name, 'a newer connection sends it');
      if (at !== size) throw failed(name, `it ended after ${at} of ${size} bytes`);
      if (hash.digest('hex') !== part.sha256)
        return giveUp(failed(name, 'its digest is not the one offered'));
      try {
        await passing('agent.digest_ok', () => handle.sync());
      } catch (error) {
        // What could not be synced once is not to be believed when it can be the next time.
        return giveUp(diskError(error, part.path));
      }
      await close();
    },
    /** What came stays: the next offer goes on from it. */
    async abort() {
      await close();
    },
  };
}

function failed(name: string, why: string): FleetError {
  return new FleetError('transfer_failed', `${name} did not arrive: ${why}`, {
    next: 'Deploy again: what arrived is kept, the rest is sent.',
  });
}
