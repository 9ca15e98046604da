/** A fleet of one host. One of its two disks, the host's or the controller's, may be one that can lose its power. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { show } from '@fleet/protocol/api/deployments.ts';
import type { z } from 'zod';
import { LocalFleet } from '../local/localFleet.ts';
import type { Ran } from '../local/program.ts';
import { ONE_THREAD } from '../tracing/strace.ts';
import { PowerDisk } from './disk.ts';

export const SERVICE = 'web';
export const HOST = 'a';
const FILES = 24;
const PROGRAM = 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000);\n';

export type Shown = z.infer<typeof show.reply>;

export interface Scene {
  dir: string;
  fleet: LocalFleet;
  disk: PowerDisk | null;
  /** ROOT/SERVICE on the host. */
  home: string;
  /** The controller's data directory. */
  data: string;
  build(version: string): Promise<Ran>;
  /** The controller's, as its database has it. */
  epoch(): number;
  /** What the controller says of a deployment; null where it does not answer. */
  shown(deployment: number): Promise<Shown | null>;
  remove(): Promise<void>;
}

export async function openScene(side: 'agent' | 'controller' | null): Promise<Scene> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-cuts-'));
  const disk = side && new PowerDisk(side === 'agent' ? join(dir, 'hosts', HOST) : join(dir, 'data'));
  const source = join(dir, 'source');
  makeSource(source);
  const fleet = await LocalFleet.create({
    dir,
    hosts: [{ host: HOST, labels: { role: 'web' } }],
    env: ONE_THREAD,
    config: `data: ./data
services:
  ${SERVICE}: { source: { directory: ./source }, keep: 2 }
environments:
  production:
    services:
      ${SERVICE}: { hosts: { role: web }, strategy: { settle: 0s, patience: 30s } }
`,
  });
  return {
    dir,
    fleet,
    disk,
    home: join(fleet.rootOf(HOST), SERVICE),
    data: join(dir, 'data'),
    build(version) {
      writeFileSync(join(source, 'version'), version);
      return fleet.run(['build', SERVICE, '--version', version]);
    },
    epoch() {
      const database = new DatabaseSync(join(dir, 'data', 'fleet.sqlite'), { readOnly: true });
      try {
        return Number(database.prepare("select value from meta where key = 'epoch'").get()?.value);
      } finally {
        database.close();
      }
    },
    async shown(deployment) {
      const response = await fetch(`${fleet.url}/api/deployments/${deployment}`).catch(() => null);
      return response?.ok ? show.reply.parse(await response.json()) : null;
    },
    async remove() {
      await fleet.stop();
      disk?.remove();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Small files in directories, a path that outlives releases, and a program that does nothing. */
function makeSource(dir: string): void {
  for (let n = 0; n < FILES; n++) {
    mkdirSync(join(dir, `part-${n % 4}`), { recursive: true });
    writeFileSync(join(dir, `part-${n % 4}`, `file-${n}`), `${n} `.repeat(1 + 400 * n));
  }
  writeFileSync(join(dir, 'server.mjs'), PROGRAM);
  writeFileSync(
    join(dir, 'fleet.yaml'),
    `service: ${SERVICE}\nshared: [data]\nrun: { supervisor: process, command: [node, server.mjs], stop: { grace: 2s } }\n`,
  );
}
