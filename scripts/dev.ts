/**
 * A fleet that stays up while one works on the code (`npm run dev`): controller, three agents, balancer and the sample
 * service, all below .scratch/dev. What an edit touches is started again; Ctrl-C ends everything, services included.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LogReader } from './dev/logs.ts';
import { LocalFleet, stopServicesOf } from './local/localFleet.ts';
import { freePorts } from './local/ports.ts';
import { FLEET } from './local/program.ts';
import { makeRepository } from './local/repository.ts';

const ROOT = join(import.meta.dirname, '..');
const DIR = join(ROOT, '.scratch/dev');
const PID = join(DIR, 'pid');
const HOSTS = ['segmenter-a', 'segmenter-b', 'segmenter-c'] as const;

type Part = 'controller' | 'agents';
/** Which folders a running part was loaded from. */
const SOURCES: Record<string, Part[]> = {
  controller: ['controller'],
  agent: ['agents'],
  packages: ['controller', 'agents'],
  protocol: ['controller', 'agents'],
};
const OF_NO_PART = /(^|\/)node_modules\/|\.(test|fixture)\.ts$|(^|\/)(contract|fake\w*)\.ts$/;
/** An editor that saves all its files, or a change of branch, is one change. */
const QUIET_MS = 200;

await refuseTwo();
await clear();
const [front = 0, ...ports] = await freePorts(1 + HOSTS.length);
const fleet = await prepare();
const logs = new LogReader(DIR, say);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end());

let stopping = false;
const changed = new Set<Part>();
let restarting = false;
try {
  await fleet.start();
  await fleet.run(['deploy', 'segmenter'], { show: true });
} catch (error) {
  if (!stopping) say('dev', `it does not start: ${messageOf(error)}`);
  if (!stopping) await end(1);
}
if (!stopping) {
  watchSources();
  tellCommands();
}

function watchSources(): void {
  let quiet: NodeJS.Timeout | undefined;
  for (const [folder, parts] of Object.entries(SOURCES)) {
    const watcher = watch(join(ROOT, folder), { recursive: true }, (_, file) => {
      if (file === null || !/\.(ts|js|mjs|sql|yaml)$/.test(file) || OF_NO_PART.test(file)) return;
      for (const part of parts) changed.add(part);
      clearTimeout(quiet);
      quiet = setTimeout(() => void restart(), QUIET_MS);
    });
    watcher.on('error', (error) => say('dev', `${folder} is no longer watched: ${error.message}`));
  }
}

/** One at a time; what changes meanwhile is started again after it. */
async function restart(): Promise<void> {
  if (restarting || stopping) return;
  restarting = true;
  try {
    while (changed.size > 0 && !stopping) {
      // Agents wait until they are connected, so the controller comes first, and they stay due when it does not come up.
      const part: Part = changed.has('controller') ? 'controller' : 'agents';
      changed.delete(part);
      say('dev', `${part} start${part === 'agents' ? '' : 's'} again`);
      await (part === 'controller' ? restartController() : restartAgents());
    }
  } catch (error) {
    if (!stopping) say('dev', `${messageOf(error)}; it is tried again after the next change`);
  } finally {
    restarting = false;
  }
}

async function restartController(): Promise<void> {
  await fleet.controller?.stop();
  await fleet.startController();
}

async function restartAgents(): Promise<void> {
  await Promise.all([...fleet.agents.values()].map((agent) => agent.stop()));
  await Promise.all(HOSTS.map((host) => fleet.startAgent(host)));
}

async function prepare(): Promise<LocalFleet> {
  mkdirSync(DIR, { recursive: true });
  writeFileSync(PID, String(process.pid));
  makeRepository(join(DIR, 'segmenter'));
  return LocalFleet.create({
    dir: DIR,
    hosts: HOSTS.map((host, index) => ({ host, labels: { role: 'segmenter', port: ports[index]! } })),
    config: `data: ./data
services:
  segmenter:
    source: { git: ./segmenter, ref: main }
balancers:
  front: { kind: embedded, listen: "127.0.0.1:${front}" }
environments:
  dev:
    services:
      segmenter:
        hosts: { role: segmenter }
        balancer: { name: front, backend: segmenter, address: "127.0.0.1:{label.port}" }
        strategy: { settle: 1s }
        values:
          PORT: { label: port }
          DATABASE: ${join(DIR, 'visitors.sqlite')}
`,
  });
}

function tellCommands(): void {
  console.log(`
It is up. An edit starts what it touches again; Ctrl-C ends it all.

  export FLEET_CONTROLLER=${fleet.url}
  alias fleet=${FLEET}
  fleet status
  fleet deploy segmenter --ref v1.0.0
  fleet rollback segmenter
  fleet deploy segmenter --ref broken

  the service      curl http://127.0.0.1:${front}/
  the API          ${fleet.url}/docs
  its repository   ${join(DIR, 'segmenter')}
  logs and data    ${DIR}
`);
}

async function end(status = 0): Promise<void> {
  if (stopping) return;
  stopping = true;
  say('dev', 'stopping');
  await fleet.stop();
  logs.close();
  rmSync(PID, { force: true });
  process.exit(status);
}

/** Two would clear each other's folder away. */
async function refuseTwo(): Promise<void> {
  const pid = existsSync(PID) ? readFileSync(PID, 'utf8') : '';
  if (!pid || !existsSync(`/proc/${pid}/cmdline`)) return;
  if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('dev.ts')) return;
  console.error(`it runs already, as process ${pid}`);
  process.exit(2);
}

/** Each time a fresh fleet. One that was killed may have left services running. */
async function clear(): Promise<void> {
  await stopServicesOf(DIR);
  rmSync(DIR, { recursive: true, force: true });
}

/** What a program printed follows in the message, and has been told by its log. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}

function say(who: string, text: string): void {
  for (const line of text.split('\n')) console.log(`${who.padEnd(11)} | ${line}`);
}
