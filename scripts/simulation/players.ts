/** Fleets played by several processes: each is sent the next seed when it has done with one. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Played } from './play.ts';

export interface ToPlay {
  seed: number;
  deployments: number;
  story: boolean;
}

export interface PlayedBy extends Played {
  /** Milliseconds of processor time. */
  cpuMs: number;
}

/** Until `next` has nothing more to play. Rejects where a player ends by itself. */
export async function playAll(
  processes: number,
  next: () => ToPlay | undefined,
  onPlayed: (played: PlayedBy) => void,
): Promise<void> {
  await Promise.all(Array.from({ length: processes }, () => playWith(next, onPlayed)));
}

async function playWith(next: () => ToPlay | undefined, onPlayed: (played: PlayedBy) => void): Promise<void> {
  const player = fork(join(import.meta.dirname, 'player.ts'), { serialization: 'advanced' });
  const ended = once(player, 'exit').then(([code, signal]) => {
    throw new Error(`a player has ended: ${signal ?? code}`);
  });
  ended.catch(() => {});
  try {
    for (let wanted = next(); wanted !== undefined; wanted = next()) {
      const answer = once(player, 'message') as Promise<[PlayedBy]>;
      player.send(wanted);
      onPlayed((await Promise.race([answer, ended]))[0]);
    }
  } finally {
    if (player.connected) player.disconnect();
  }
}
