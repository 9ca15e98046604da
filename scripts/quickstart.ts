/** The quickstart: what a person types, what they see, and at the end nothing left behind. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Load, startLoad } from './local/load.ts';
import { LocalFleet, stopServicesOf } from './local/localFleet.ts';
import { freePorts } from './local/ports.ts';
import { waitUntil } from './local/program.ts';
import { makeRepository } from './local/repository.ts';

const { values: flags } = parseArgs({
  options: { keep: { type: 'boolean', default: false }, stop: { type: 'string' } },
});
const PIDS = 'pids.json';
if (flags.stop !== undefined) {
  await stopKept(flags.stop);
  process.exit(0);
}

const HOSTS = ['cubed-segmenter-a', 'cubed-segmenter-b', 'cubed-segmenter-c'] as const;

const dir = mkdtempSync(join(tmpdir(), 'fleet-quickstart-'));
const [front = 0, ...ports] = await freePorts(1 + HOSTS.length);
makeRepository(join(dir, 'segmenter'));

const fleet = await LocalFleet.create({
  dir,
  outlives: flags.keep,
  secure: true,
  hosts: HOSTS.map((host, index) => ({
    host,
    labels: { role: 'segmenter', environment: 'production', port: ports[index]! },
  })),
  config: `data: ./data

services:
  segmenter:
    source: { git: ./segmenter, ref: main }

balancers:
  front: { kind: embedded, listen: "127.0.0.1:${front}" }

environments:
  production:
    services:
      segmenter:
        hosts: { role: segmenter, environment: production }
        balancer: { name: front, backend: segmenter, address: "127.0.0.1:{label.port}" }
        strategy: { settle: 1s }
        values:
          PORT: { label: port }
          DATABASE: ${join(dir, 'visitors.sqlite')}
`,
});

/** By a signal, which the command that runs has heard as well: that it ends is no failure then. */
let interrupted = false;
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    say('\nStopping; nothing stays behind.');
    void end(status);
  });

try {
  await tour();
  await end(0);
} catch (error) {
  if (!interrupted) {
    say(`\nThe quickstart failed: ${error instanceof Error ? error.message : String(error)}`);
    await end(1);
  }
}

async function tour(): Promise<void> {
  title('A controller and three agents, each with its own root directory');
  say('$ fleet init controller');
  say('$ fleet controller --config controller.yaml &');
  for (const host of HOSTS) {
    say(
      `$ fleet token create --host ${host} --role segmenter … | fleet agent join --config agent-${host}.yaml`,
    );
    say(`$ fleet agent --config agent-${host}.yaml &`);
  }
  await fleet.start();

  title('Build 1.0.0 from a tag, and put it on three empty hosts');
  await run(['build', 'segmenter', '--ref', 'v1.0.0']);
  await run(['deploy', 'segmenter', '--version', '1.0.0']);

  title('The main job: 1.1.0, host by host, while a client keeps sending requests through the balancer');
  const load = startLoad(`http://127.0.0.1:${front}/`);
  await run(['deploy', 'segmenter', '--serial']);
  tell(load);

  title('One host goes back');
  await run(['rollback', 'segmenter', '--host', HOSTS[1], '--to', '1.0.0', '-y']);
  await run(['status']);
  await run(['history']);
  await run(['deploy', 'segmenter', '--version', '1.1.0', '--host', HOSTS[1]]);

  title(
    'A broken 1.2.0: its smoke test fails on the first host, which goes back; the others are never touched',
  );
  await run(['deploy', 'segmenter', '--ref', 'v1.2.0'], 5);
  tell(load);
  await load.stop();
  if (load.failed > 0) throw new Error(`${load.failed} requests failed: ${load.failures.join('; ')}`);
  await run(['status']);
}

/** Shows a command as a person types it, runs it, and holds it to the exit status that it should have. */
async function run(argv: string[], expected = 0): Promise<void> {
  say(`$ fleet ${argv.join(' ')}`);
  const { code } = await fleet.run(argv, { show: true });
  if (expected !== 0) say(`\nexit status ${code}: it failed, and every host runs what it ran before`);
  say('');
  if (code !== expected) throw new Error(`fleet ${argv.join(' ')} ended with ${code}, not ${expected}`);
}

function tell({ sent, failed, versions }: Load): void {
  const answers = [...versions].map(([version, count]) => `${count} by ${version}`).join(', ');
  say(`requests through the balancer so far: ${sent} sent, ${failed} failed (answered: ${answers})\n`);
}

async function end(status: number): Promise<void> {
  if (flags.keep && status === 0) return leave();
  await fleet.stop();
  fleet.remove();
  process.exit(status);
}

function leave(): never {
  const pids = [fleet.controller, ...fleet.agents.values()].map((program) => program?.pid);
  writeFileSync(join(dir, PIDS), JSON.stringify(pids));
  title('Left running, as you asked');
  say(`The service answers at     http://127.0.0.1:${front}/`);
  say(`The API is documented at   ${fleet.url}/docs`);
  say(`Configuration and logs     ${dir}\n`);
  say('Go on by hand:');
  say(`  export FLEET_LOGIN=${join(dir, 'login.json')}`);
  say(`  alias fleet=${join(import.meta.dirname, '../packages/cli/bin/fleet.js')}`);
  say('  fleet status');
  say('  fleet deploy segmenter --ref main');
  say(`  fleet logs segmenter --host ${HOSTS[0]}\n`);
  say('Or change the service, commit, and deploy it:');
  say(`  cd ${join(dir, 'segmenter')}\n`);
  say('Stop it all, and remove it:');
  say(`  ${join(import.meta.dirname, 'quickstart')} --stop ${dir}`);
  process.exit(0);
}

/** `--stop DIR` ends what an earlier `--keep` left running. */
async function stopKept(kept: string): Promise<void> {
  const pids = JSON.parse(readFileSync(join(kept, PIDS), 'utf8')) as number[];
  for (const pid of pids.filter(isFleet)) process.kill(pid, 'SIGTERM');
  await waitUntil('the programs end', () => !pids.some(isFleet));
  await stopServicesOf(kept);
  rmSync(kept, { recursive: true, force: true });
  say(`stopped, and removed ${kept}`);
}

/** The number may be another program's by now. */
function isFleet(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('fleet.js');
  } catch {
    return false;
  }
}

function title(text: string): void {
  say(`\n# ${text}\n`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
