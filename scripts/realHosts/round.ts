/** One round: a fleet of booted hosts from nothing, with one host first, so that those which come later have something to catch up with. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { agentFolder } from '../bundles/contents.ts';
import { nodeFor } from '../bundles/node.ts';
import { agentProgram, nodeProgram, packProgram } from '../bundles/programs.ts';
import { waitUntil } from '../local/program.ts';
import { fleetConfig, RealFleet } from '../machines/realFleet.ts';

const [FIRST, ONE, THREE] = ['base1', 'one1', ['three1', 'three2', 'three3']] as const;
const PROFILES = `programs: ./programs
profiles:
  web: { labels: { environment: production, role: segmenter } }
`;

/** Milliseconds and bytes. */
export interface Round {
  one: Added;
  three: Added;
  /** Of the agent of a host that does nothing. */
  idle: { resident: number; ofItsOwn: number };
  /** One host, agent alone. */
  upgradeBytes: number;
  upgradeMs: number;
}
export interface Added {
  /** Until the recap of `fleet hosts add`. */
  addedMs: number;
  /** Until the last of them passed its first smoke test. */
  smokeMs: number;
  /** To each, over SSH. */
  bytes: number;
}

export async function playRound(): Promise<Round> {
  const fleet = await RealFleet.create({
    hosts: [FIRST, ONE, ...THREE],
    inHaproxy: [],
    config: (fleet) => fleetConfig(fleet, PROFILES).replace('settle:', 'min_visible: 0, settle:'),
  });
  try {
    await bundle(fleet, 'first');
    await fleet.boot(FIRST, ONE, ...THREE);
    await fleet.startController();
    await add(fleet, FIRST);
    await fleet.well('deploy', 'segmenter', '--serial');
    const one = await addTimed(fleet, ONE);
    const three = await addTimed(fleet, ...THREE);
    const idle = memoryOf(fleet, ONE);
    return { one, three, idle, ...(await upgrade(fleet)) };
  } finally {
    await fleet.remove();
  }
}

const add = (fleet: RealFleet, ...hosts: string[]) =>
  fleet.well(
    ...['hosts', 'add', '-p', 'web', '-P', '--json', '--key', fleet.sshKey],
    ...hosts.map((host) => `${host}=${fleet.addressOf(host)}`),
  );

async function addTimed(fleet: RealFleet, ...hosts: string[]): Promise<Added> {
  const began = Date.now();
  const { stdout } = await add(fleet, ...hosts);
  const addedMs = Date.now() - began;
  const { hosts: rows } = JSON.parse(stdout) as { hosts: Array<{ sentBytes: number }> };
  let ends: number[] = [];
  await waitUntil(
    'their smoke tests',
    () => {
      ends = hosts.flatMap((host) => firstSmoke(fleet, host) ?? []);
      return ends.length === hosts.length;
    },
    undefined,
    300_000,
  );
  // What is still to be shown takes its time from nobody's next round.
  await waitUntil(
    'they are shown',
    async () => {
      const ready = (await fleet.servers()).filter(({ admin, up }) => admin === 'ready' && up);
      return hosts.every((host) => ready.some(({ name }) => name === host));
    },
    undefined,
    300_000,
  );
  return { addedMs, smokeMs: Math.max(...ends) - began, bytes: rows[0]!.sentBytes };
}

/** When it ended, by the controller's own record; undefined before it has. */
function firstSmoke(fleet: RealFleet, host: string): number | undefined {
  const database = new Database(join(fleet.dir, 'data/fleet.sqlite'), { readonly: true });
  try {
    const row = database
      .prepare(
        "select min(ended_at) as at from steps where kind = 'smoke' and host = ? and outcome is not null",
      )
      .get(host) as { at: string | null };
    return row.at === null ? undefined : Date.parse(row.at);
  } finally {
    database.close();
  }
}

function memoryOf(fleet: RealFleet, host: string): Round['idle'] {
  const script = 'cat /proc/$(systemctl show --property MainPID --value fleet-agent)/status';
  const { stdout } = fleet.machine(host).run(['sh', '-c', script]);
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(stdout)?.[1]);
  return { resident: kilobytes('VmRSS') * 1024, ofItsOwn: kilobytes('RssAnon') * 1024 };
}

/** An agent that differs from the one before in one line. */
async function upgrade(fleet: RealFleet): Promise<{ upgradeBytes: number; upgradeMs: number }> {
  await bundle(fleet, 'second');
  await fleet.controller?.stop();
  await fleet.startController();
  await waitUntil('its agents are back', async () => {
    const rows = JSON.parse((await fleet.well('hosts', '--json')).stdout) as Array<{ connected: boolean }>;
    return rows.every(({ connected }) => connected);
  });
  const began = Date.now();
  const { stdout } = await fleet.well('agents', 'upgrade', '--host', ONE);
  const upgradeMs = Date.now() - began;
  const [, amount, unit] = /staged: \d+ files, ([\d.]+) ([kM]B) sent/.exec(stdout) ?? [];
  return { upgradeBytes: Number(amount) * (unit === 'MB' ? 1e6 : 1e3), upgradeMs };
}

async function bundle(fleet: RealFleet, mark: string): Promise<void> {
  const into = join(fleet.dir, 'programs');
  const folder = join(fleet.dir, `agent-${mark}`);
  mkdirSync(folder);
  await agentFolder(folder);
  appendFileSync(join(folder, 'agent.js'), `// ${mark}\n`);
  await packProgram(agentProgram(folder), into);
  const platform = `linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}` as const;
  if (mark === 'first') await packProgram(nodeProgram(await nodeFor(platform, () => {}), platform), into);
}
