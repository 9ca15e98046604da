/** A balancer that serves users, and does not answer who wants to tell it something. */
import { renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Random } from '../../random/random.ts';
import { adminSocket } from '../haproxy.ts';
import type { World } from '../world.ts';
import type { Fault } from './fault.ts';

/** Either nothing is there, or something that takes the question and says nothing. */
export function goneBalancer({ dir }: World, random: Random): Fault {
  const path = adminSocket(dir);
  const silent = random.chance(0.5);
  const open = new Set<Socket>();
  let server: Server | undefined;
  return {
    kind: 'balancer.gone',
    host: null,
    harmless: true,
    takes: ['balancer'],
    begin() {
      renameSync(path, `${path}.away`);
      if (!silent) return;
      server = createServer((socket) => {
        open.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => open.delete(socket));
      }).listen(path);
      server.on('error', () => {});
    },
    end() {
      server?.close();
      for (const socket of open) socket.destroy();
      rmSync(path, { force: true });
      renameSync(`${path}.away`, path);
    },
  };
}
