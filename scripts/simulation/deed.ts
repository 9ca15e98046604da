/** Whose doing something on a host is: the command that is being carried out there, known to everything that it leads to. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Command } from '@fleet/protocol/messages/command.ts';

export interface Deed {
  method: string;
  command: Command;
}

const deeds = new AsyncLocalStorage<Deed>();

export function doing<T>(deed: Deed | undefined, work: () => Promise<T>): Promise<T> {
  return deed === undefined ? work() : deeds.run(deed, work);
}

export function deed(): Deed | undefined {
  return deeds.getStore();
}
