/** The highest epoch that each fleet has spoken with: a controller that has been replaced is not obeyed any more. */
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Command } from '@fleet/protocol/messages/command.ts';
import { type Disk, realDisk } from '../disk/disk.ts';
import { ifThere, writeDurably } from '../disk/durable.ts';

export interface Epochs {
  /** On disk before it returns. Throws `stale_epoch`. */
  admit(command: Command): Promise<void>;
  /** By fleet. */
  highest(): Record<string, number>;
}

export async function openEpochs(path: string, disk: Disk = realDisk): Promise<Epochs> {
  const text = await ifThere(disk.readFile(path, 'utf8'));
  const highest = new Map<string, number>(text === undefined ? [] : Object.entries(JSON.parse(text)));
  let turn: Promise<void> = Promise.resolve();

  async function admitNext({ fleet, epoch, id }: Command): Promise<void> {
    const seen = highest.get(fleet) ?? 0;
    if (epoch < seen)
      throw new FleetError(
        'stale_epoch',
        `command ${id} has epoch ${epoch}, but this host has obeyed epoch ${seen} of the same fleet`,
        { next: 'Another controller has taken over: stop this one.', data: { epoch, seen } },
      );
    if (epoch === seen) return;
    await writeDurably(disk, path, JSON.stringify({ ...Object.fromEntries(highest), [fleet]: epoch }));
    highest.set(fleet, epoch);
  }

  return {
    highest: () => Object.fromEntries(highest),
    admit(command) {
      const admitted = turn.then(() => admitNext(command));
      turn = admitted.catch(() => undefined);
      return admitted;
    },
  };
}
