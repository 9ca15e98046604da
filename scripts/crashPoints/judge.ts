/**
 * Whether all is well on the hosts, looked at from outside: disks, the service itself, what its programs wrote, the balancer's
 * own file, and what the controller answers. No product code has a part in the judgement.
 */
import { createHash } from 'node:crypto';
import { globSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { HOSTS } from './cases.ts';
import type { Scene } from './scene.ts';
import { REPEATABLE, SERVICE } from './service.ts';

export interface Recap {
  deployment: number;
  version: string | null;
  exit: number;
  failure: { code: string } | null;
  interruptions?: Array<{ host: string; version: string; hook: string; decision: { take: string } | null }>;
  hosts: Array<{
    host: string;
    failed: number;
    unreachable: number;
    skipped: number;
    running: string | null;
    notes: string[];
  }>;
}

/** What holds wherever a deployment has ended. */
export async function judgeEnd(
  scene: Scene,
  recap: Recap,
  before: Map<string, string | null>,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const { host, failed, unreachable, skipped, running } of recap.hosts) {
    const current = scene.current(host);
    const answer = await answerOf(scene.ports.get(host)!);
    // What is not known may be said of a host that the recap calls unreachable, and of no other.
    if (running !== null || unreachable === 0) {
      if (running !== current)
        wrong.push(`the recap says that ${host} runs ${running}, and current is ${current}`);
      if (running !== answer)
        wrong.push(`the recap says that ${host} runs ${running}, and it answers ${answer}`);
    } else if (current !== before.get(host))
      wrong.push(`${host} is unreachable by the recap, and was changed`);
    if (recap.exit === 0 && (running !== recap.version || failed + unreachable + skipped > 0))
      wrong.push(`exit 0, and ${host} runs ${running} with failed=${failed} unreachable=${unreachable}`);
    if (recap.exit === 5 && running !== before.get(host))
      wrong.push(`exit 5, and ${host} runs ${running} where it ran ${before.get(host)}`);
  }
  for (const { host, hook } of recap.interruptions ?? []) {
    const notes = recap.hosts.find((each) => each.host === host)?.notes ?? [];
    if (!notes.some((note) => note.includes(hook) && note.includes('interrupted')))
      wrong.push(`the recap does not say that ${hook} was interrupted on ${host}`);
  }
  if (recap.exit === 0 && recap.hosts.length !== HOSTS.length) wrong.push('exit 0 without every host');
  return wrong;
}

/** What holds whenever nothing is under way. `succeeded`: nothing is left of a transfer either. */
export async function judgeRest(scene: Scene, { succeeded }: { succeeded: boolean }): Promise<string[]> {
  const wrong = HOSTS.flatMap((host) => [
    ...incomplete(scene, host),
    ...leftovers(scene, host)
      .filter((name) => succeeded || !name.endsWith('.part'))
      .map((name) => `${host}: left over: ${name}`),
  ]);
  for (const name of readdirSync(join(scene.dir, 'data/work')))
    wrong.push(`controller: left over: work/${name}`);
  for (const name of globSync('data/**/*.new', { cwd: scene.dir }))
    wrong.push(`controller: left over: ${name}`);
  wrong.push(...(await judgeStatus(scene, succeeded)));
  return wrong;
}

async function judgeStatus(scene: Scene, succeeded: boolean): Promise<string[]> {
  const { services } = await scene.ask<{
    services: Array<{
      running: unknown;
      hosts: Array<{ host: string; note: string | null; connected: boolean }>;
    }>;
  }>('/api/status');
  const wrong: string[] = [];
  const hidden = Object.keys(
    JSON.parse(readFileSync(join(scene.dir, 'data/balancers/balancer-front.json'), 'utf8')) as object,
  ).map((server) => server.slice(SERVICE.length + 1));
  for (const { running, hosts } of services) {
    if (running !== null) wrong.push(`the lock is held: ${JSON.stringify(running)}`);
    for (const { host, note, connected } of hosts) {
      if (!connected) wrong.push(`${host} is not connected`);
      if (hidden.includes(host) && note === null) wrong.push(`${host} is hidden, and no record says why`);
      if (!hidden.includes(host) && note !== null)
        wrong.push(`${host} is not hidden, and the status says ${note}`);
    }
  }
  if (succeeded && hidden.length > 0) wrong.push(`hidden after a success: ${hidden.join(', ')}`);
  if ((await answerOf(scene.front)) === null) wrong.push('nobody answers behind the balancer');
  return wrong;
}

/** Lines that the service's programs wrote during one deployment: what must not run twice did not, and no program was started twice. */
export function judgePrograms(lines: string[]): string[] {
  const begun = lines.filter((line) => line.startsWith('begin ')).map((line) => line.slice('begin '.length));
  return [...new Set(begun)].flatMap((each) => {
    const times = begun.filter((other) => other === each).length;
    const name = each.split(' ')[2] ?? '';
    return times > 1 && !REPEATABLE.has(name) ? [`ran ${times} times: ${each}`] : [];
  });
}

/** How `current` differs from the manifest of what it names, as the controller's shelf has it. */
function incomplete(scene: Scene, host: string): string[] {
  const version = scene.current(host);
  if (version === null) return [`${host}: current names nothing`];
  const shelf = join(scene.dir, 'data/artifacts', SERVICE, `${version}.manifest.json`);
  const { files } = JSON.parse(readFileSync(shelf, 'utf8')) as {
    files: Array<{ type: string; path: string; sha256?: string; mode?: number; target?: string }>;
  };
  const release = join(scene.home(host), 'current');
  const found = readdirSync(release, { recursive: true }).map(String).sort();
  const named = files.map(({ path }) => path).sort();
  if (found.join('\n') !== named.join('\n')) return [`${host}: ${version} has ${found.join(', ')}`];
  return files.flatMap((entry) =>
    isAsNamed(join(release, entry.path), entry) ? [] : [`${host}: ${version}/${entry.path} differs`],
  );
}

function isAsNamed(
  path: string,
  entry: { type: string; sha256?: string; mode?: number; target?: string },
): boolean {
  const stat = lstatSync(path);
  if (entry.type === 'directory') return stat.isDirectory();
  if (entry.type === 'link') return stat.isSymbolicLink() && readlinkSync(path) === entry.target;
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
  return stat.isFile() && sha256 === entry.sha256 && (stat.mode & 0o7777) === entry.mode;
}

/** Names of what somebody was in the middle of. */
function leftovers(scene: Scene, host: string): string[] {
  const home = scene.home(host);
  return [
    ...readdirSync(join(home, 'staging')).map((name) => `staging/${name}`),
    ...readdirSync(home).filter((name) => name.startsWith('.')),
    ...globSync('{*,manifests/*,sealed/*,stats/*,run/*}.tmp', { cwd: home }),
    ...globSync('.agent/**/*.tmp', { cwd: scene.fleet.rootOf(host) }),
  ];
}

/** The version that answers on a port, null where nothing does. */
async function answerOf(port: number): Promise<string | null> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    (response) => (response.ok ? response.text() : null),
    () => null,
  );
}
