/** `scripts/bench`: runs the benchmarks one after the other, prints what they saw, and leaves nothing behind. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inMarkdown, inTerminal, type Section } from './figures.ts';
import { hasProgram } from './haproxy.ts';
import { conditions } from './machine.ts';
import { measureMemory } from './memory.ts';
import { nodeRedTree } from './nodeRed.ts';
import { measureOverhead, measureRollback } from './overhead.ts';
import { measurePacking } from './packing.ts';
import { compareWithRsync } from './rsync.ts';
import { startScene } from './scene.ts';
import { startSshd } from './sshd.ts';
import { measureStarting } from './starting.ts';

const PAGE = join(import.meta.dirname, '../../docs/benchmarks.md');
const [BEGIN, END] = ['<!-- written by scripts/bench --write: begin -->', '<!-- end -->'];
const LONGEST_MS = 8 * 60_000;
const PARTS = ['starting', 'packing', 'deploying', 'large'] as const;

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    only: { type: 'string', default: PARTS.join(',') },
  },
});
if (flags.write && flags.only !== PARTS.join(',')) {
  say('--write takes the whole run: leave out --only');
  process.exit(2);
}
const rounds = flags.quick ? 2 : 5;
const wanted = (part: (typeof PARTS)[number]) => flags.only.split(',').includes(part);
const sections: Section[] = [];
/** What was started, to be ended in the other order. */
const started: Array<() => Promise<void>> = [];
let ending: Promise<void> | undefined;

process.on('SIGINT', () => void end(130));
process.on('SIGTERM', () => void end(143));
setTimeout(() => {
  say(`\nNot done after ${LONGEST_MS / 60_000} minutes: it ends here.`);
  void end(1);
}, LONGEST_MS).unref();

try {
  const seen = conditions(rounds);
  say(seen.join('\n'));
  await measure();
  if (flags.write) write(seen);
  await end(0);
} catch (error) {
  if (ending === undefined)
    say(`\nThe benchmark failed: ${error instanceof Error ? error.stack : String(error)}`);
  await end(1);
}

async function measure(): Promise<void> {
  if (wanted('starting')) show(measureStarting());
  const needsTree = wanted('packing') || wanted('large');
  const tree = needsTree ? nodeRedTree() : null;
  if (needsTree && tree === null) skip('Node-RED’s tree', 'npm cannot fetch it');
  if (tree !== null && wanted('packing')) show(await measurePacking(tree, rounds));
  if (wanted('deploying') || wanted('large')) await measureFleet(tree);
}

async function measureFleet(tree: string | null): Promise<void> {
  const haproxy = hasProgram('haproxy', '-v');
  if (!haproxy) skip('Behind HAProxy', 'haproxy is not installed: apt-get install haproxy');
  const missing = ['rsync', 'ssh', 'sshd', 'curl'].filter((program) => !hasProgram(program, '-V'));
  if (missing.length > 0) {
    const packages = 'apt-get install rsync openssh-client openssh-server curl';
    skip('Beside rsync and ssh', `${missing.join(', ')} not installed: ${packages}`);
  }
  const scene = await startScene({ haproxy, large: wanted('large') ? tree : null });
  started.push(scene.stop);
  await scene.fleet.start();
  if (wanted('deploying')) {
    show(await measureMemory(scene, 'the first start of a new installation, nothing compiled yet'));
    await scene.fleet.stop();
    await scene.fleet.start();
    show(await measureMemory(scene, 'a later start'));
  }
  const service = (name: string) => scene.services.find((each) => each.name === name);
  const [embedded, small, large] = [service('embedded')!, service('small'), service('large')];

  if (wanted('deploying')) {
    show(await measureOverhead(scene, embedded, rounds));
    show(await measureRollback(scene, embedded, rounds));
  }
  if (small && missing.length > 0 && wanted('deploying')) show(await measureOverhead(scene, small, rounds));
  if (small && missing.length === 0) {
    const sshd = await startSshd();
    started.push(sshd.stop);
    if (wanted('deploying')) {
      const { overhead, comparison } = await compareWithRsync(scene, small, sshd, rounds);
      show(overhead);
      show(comparison);
    }
    if (large) show((await compareWithRsync(scene, large, sshd, Math.min(rounds, 3))).comparison);
  }
  if (small && wanted('deploying')) show(await measureRollback(scene, small, rounds));
  if (wanted('deploying')) show(await measureMemory(scene, 'after the deployments above'));
}

function show(section: Section): void {
  sections.push(section);
  say(inTerminal(section));
}

function skip(title: string, why: string): void {
  show({ title, figures: [], notes: [`Skipped: ${why}.`] });
}

/** What stands between the two marks is the run's, the rest of the page is a person's. */
function write(seen: string[]): void {
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))];
  const list = seen.map((line) => `- ${line}`).join('\n');
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${list}\n\n${sections.map(inMarkdown).join('\n')}${after}`);
  say(`\nwritten: ${PAGE}`);
}

/** Whoever ends it first gives the status: what fails because it is being ended is no news. */
function end(status: number): Promise<void> {
  ending ??= (async () => {
    for (const stop of started.reverse()) await stop();
    process.exit(status);
  })();
  return ending;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
