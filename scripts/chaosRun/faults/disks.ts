/** Disks that are full. */
import type { Host, World } from '../world.ts';
import type { Fault } from './fault.ts';

export function fullDisk({ name, disk }: Host): Fault {
  return {
    kind: 'disk.full',
    host: name,
    harmless: true,
    takes: [`disk ${name}`],
    begin: () => disk.fill(),
    end: () => disk.empty(),
  };
}

export function fullStore({ store }: World): Fault {
  return {
    kind: 'store.full',
    host: null,
    harmless: true,
    takes: ['store'],
    begin: () => store.fill(),
    end: () => store.empty(),
  };
}
