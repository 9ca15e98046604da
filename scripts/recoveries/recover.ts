/** `scripts/recovery`: harms a fleet in each way, one after the other, prints how soon it was itself again, and leaves nothing behind. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inMarkdown, inTerminal, type Section } from '../benchmarks/figures.ts';
import { machine } from '../benchmarks/machine.ts';
import { killAgents } from './agentKilled.ts';
import { killControllers } from './controllerKilled.ts';
import { Scene } from './scene.ts';
import { losePeers } from './silentPeers.ts';
import { startAtOnce } from './startedAtOnce.ts';

const PAGE = join(import.meta.dirname, '../../docs/recovery.md');
const [BEGIN, END] = ['<!-- written by scripts/recovery --write: begin -->', '<!-- end -->'];

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
if (flags.write && (flags.only !== undefined || flags.quick)) {
  say('--write takes the whole run: leave out --only and --quick');
  process.exit(2);
}
const rounds = flags.quick ? 3 : 10;
const crowds = flags.quick ? 3 : 20;
const PARTS: Record<string, (scene: Scene) => Promise<Section>> = {
  controller: (scene) => killControllers(scene, flags.quick ? 3 : 14),
  agent: (scene) => killAgents(scene, rounds),
  peer: (scene) => losePeers(scene, flags.quick ? 1 : 3),
  start: (scene) => startAtOnce(scene, { deployments: 50, crowds, pairs: flags.quick ? 1 : 5 }),
};
const wanted = flags.only?.split(',') ?? Object.keys(PARTS);
const unknown = wanted.filter((part) => PARTS[part] === undefined);
if (unknown.length > 0) {
  say(`--only knows ${Object.keys(PARTS).join(', ')}, and not ${unknown.join(', ')}`);
  process.exit(2);
}

const seen = machine();
say(seen.join('\n'));
const scene = await Scene.start();
let ending: Promise<void> | undefined;
process.on('SIGINT', () => void end(130));
process.on('SIGTERM', () => void end(143));

try {
  const sections: Section[] = [];
  for (const part of wanted) {
    const section = await PARTS[part]!(scene);
    sections.push(section);
    say(inTerminal(section));
  }
  if (flags.write) write(sections);
  await end(0);
} catch (error) {
  if (ending === undefined) say(`\nIt failed: ${error instanceof Error ? error.stack : String(error)}`);
  await end(1);
}

/** What stands between the two marks is the run's, the rest of the page is a person's. */
function write(sections: Section[]): void {
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))];
  const list = seen.map((line) => `- ${line}`).join('\n');
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${list}\n\n${sections.map(inMarkdown).join('\n')}${after}`);
  say(`\nwritten: ${PAGE}`);
}

/** Whoever ends it first gives the status: what fails because it is being ended is no news. */
function end(status: number): Promise<void> {
  ending ??= scene.stop().then(() => process.exit(status));
  return ending;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
