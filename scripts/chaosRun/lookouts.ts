/** Instruments that look again and again, and write down what differs from the last look. */
import { readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SERVICE } from './application.ts';
import { lookAtServers } from './haproxy.ts';
import { now, type Recording } from './recording.ts';
import type { Host, World } from './world.ts';

const LINKS_MS = 10;
const BALANCER_MS = 60;

/** What `current` names on each host. Returns what ends it. */
export function watchLinks(world: World, recording: Recording): () => void {
  const last = new Map<string, string>();
  const timer = setInterval(() => {
    for (const host of world.hosts) {
      const target = currentOf(host);
      const there = target !== null && leadsToDirectory(host);
      const seen = `${target} ${there}`;
      if (last.get(host.name) === seen) continue;
      last.set(host.name, seen);
      recording.current({ at: now(), host: host.name, target, there });
    }
  }, LINKS_MS);
  return () => clearInterval(timer);
}

/** Null where there is none. */
export function currentOf({ root }: Host): string | null {
  try {
    return readlinkSync(join(root, SERVICE, 'current'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EINVAL' ? 'not a link' : null;
  }
}

function leadsToDirectory({ root }: Host): boolean {
  return statSync(join(root, SERVICE, 'current'), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** What the balancer says of each server. Resolves, once it was ended, when the last look is over. */
export function watchBalancer(world: World, recording: Recording): () => Promise<void> {
  const last = new Map<string, string>();
  const ends = new AbortController();
  const over = (async () => {
    while (!ends.signal.aborted) {
      const servers = await lookAtServers(world.dir).catch(() => []);
      const at = now();
      for (const { name, admin, up } of servers) {
        const seen = `${admin} ${up}`;
        if (last.get(name) === seen) continue;
        last.set(name, seen);
        recording.balancer({ at, source: 'poll', server: name, admin, up });
      }
      await new Promise((resolve) => setTimeout(resolve, BALANCER_MS));
    }
  })();
  return () => {
    ends.abort();
    return over;
  };
}
