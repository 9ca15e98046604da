/** What controller and agents hold when they have nothing to do, as the kernel counts it. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Section } from './figures.ts';
import { HOSTS, type Scene } from './scene.ts';

const EVERY_MS = 3_000;
const CALM_READS = 3;
const LONGEST_MS = 45_000;

export async function measureMemory({ fleet }: Scene, when: string): Promise<Section> {
  const controller = fleet.controller!.pid;
  const agents = HOSTS.map((host) => fleet.agents.get(host)!.pid);
  const calm = await Promise.all([controller, ...agents].map(whenCalm));
  const [ofController, ...ofAgents] = calm;
  return {
    title: `Memory at rest, ${when}`,
    figures: [
      {
        what: `controller with ${HOSTS.length} agents connected`,
        unit: 'MB',
        values: [ofController!],
        goal: 120,
      },
      { what: 'agent', unit: 'MB', values: ofAgents, goal: 80 },
    ],
    notes: [
      `VmRSS, in MB of 1,000,000 bytes, when ${CALM_READS} reads, ${EVERY_MS / 1000} s apart, differ by less than 1 %.`,
    ],
  };
}

async function whenCalm(pid: number): Promise<number> {
  const reads = [residentMegabytes(pid)];
  const until = performance.now() + LONGEST_MS;
  for (;;) {
    const last = reads.slice(-CALM_READS);
    const calm = last.length === CALM_READS && Math.max(...last) / Math.min(...last) < 1.01;
    if (calm || performance.now() > until) return last.at(-1)!;
    await pause(EVERY_MS);
    reads.push(residentMegabytes(pid));
  }
}

function residentMegabytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return (Number(kib) * 1024) / 1e6;
}
