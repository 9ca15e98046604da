/** The moments at which everything is mended and nothing runs: when they have come, and what holds then. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SERVICE } from './application.ts';
import type { Calls } from './calls.ts';
import { lookAtServers } from './haproxy.ts';
import { currentOf } from './lookouts.ts';
import type { Quiescent } from './record.ts';
import { now } from './recording.ts';
import { type ServiceStatus, serviceIn } from './replies.ts';
import { type Host, sizeOf, type World } from './world.ts';

/** A deployment in which everything that may take its time has taken it is over by then. */
const LONGEST_MS = 240_000;
const LOOK_MS = 500;
/** Processes of a hook that was just ended, a server that was just shown: they have this long to be as they will stay. */
const SETTLE_MS = 1500;

/**
 * Resolves when every agent is connected, nothing runs, and, once something has been deployed, the balancer sees it. False
 * where that does not come to be.
 */
export async function comesToRest(
  world: World,
  calls: Calls,
  { deployed }: { deployed: boolean },
): Promise<boolean> {
  const end = now() + LONGEST_MS;
  while (now() < end) {
    const service = serviceIn((await calls.call(['status', '--json'])).json);
    if (service !== undefined && rests(service, world) && (!deployed || (await balancerRests(world)))) {
      await sleep(SETTLE_MS);
      return true;
    }
    await sleep(LOOK_MS);
  }
  return false;
}

function rests({ running, hosts }: ServiceStatus, world: World): boolean {
  return running === null && hosts.length === world.hosts.length && hosts.every((host) => host.connected);
}

/** What it sends users to is up. */
async function balancerRests({ dir }: World): Promise<boolean> {
  const servers = await lookAtServers(dir).catch(() => []);
  return servers.length > 0 && servers.every(({ admin, up }) => admin !== 'ready' || up);
}

/** What holds now. */
export async function lookAround(world: World, calls: Calls): Promise<Quiescent> {
  const ask = async (...argv: string[]) => (await calls.call([...argv, '--json'])).json;
  const servers = await lookAtServers(world.dir);
  const ofEach = <T>(look: (host: Host) => T) =>
    Object.fromEntries(world.hosts.map((host) => [host.name, look(host)]));
  return {
    status: await ask('status'),
    hosts: await ask('hosts'),
    history: await ask('history', '--lines', '500'),
    current: ofEach(currentOf),
    leftovers: ofEach(leftoversOn),
    processes: ofEach((host) => world.processesOn(host)),
    daemons: { controller: sizeOf(world.controller.pid), ...ofEach(({ agent }) => sizeOf(agent.pid)) },
    balancer: Object.fromEntries(servers.map(({ name, admin, up }) => [name, { admin, up }])),
  };
}

function leftoversOn({ root }: Host): string[] {
  const home = join(root, SERVICE);
  return [...namesIn(join(home, 'staging')), ...namesIn(home).filter((name) => name.startsWith('.'))];
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Hosts that a person would look after first: hidden, down, or on another version than most. */
export function needCare(status: unknown): string[] {
  const hosts = serviceIn(status)?.hosts ?? [];
  return hosts
    .filter(({ balancer, state }) => balancer !== 'visible' || state !== 'running')
    .map(({ host }) => host);
}
