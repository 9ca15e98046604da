/** A process that plays the fleets whose seeds it is sent, one after the other. */
import { play } from './play.ts';
import type { ToPlay } from './players.ts';
import { Shelf } from './shelf.ts';

const shelf = new Shelf();
let seed = 0;

process.on('unhandledRejection', (error) => {
  console.error(`VIOLATED: a promise that nobody waits for has failed, fleet ${seed}`, error);
  process.exit(1);
});
process.on('message', async (wanted: ToPlay) => {
  seed = wanted.seed;
  const before = process.cpuUsage();
  const { deployments, story } = wanted;
  const played = await play(seed, shelf, {
    deployments,
    ...(story ? { onLine: (line: string) => console.log(line) } : {}),
  });
  const { user, system } = process.cpuUsage(before);
  process.send?.({ ...played, cpuMs: (user + system) / 1000 });
});
