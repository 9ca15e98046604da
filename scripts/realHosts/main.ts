/** `scripts/real-hosts`: plays rounds, prints what was seen, and leaves nothing behind. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Figure, inMarkdown, inTerminal, type Section } from '../benchmarks/figures.ts';
import { machine } from '../benchmarks/machine.ts';
import { whyNotHere } from '../machines/commands.ts';
import { playRound, type Round } from './round.ts';

const PAGE = join(import.meta.dirname, '../../docs/real-hosts.md');
const [BEGIN, END] = ['<!-- written by scripts/real-hosts --write: begin -->', '<!-- end -->'];

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, write: { type: 'boolean', default: false } },
});
const why = whyNotHere();
if (why !== undefined) {
  say(`real-hosts ${why}`);
  process.exit(2);
}
const seen = machine();
say(seen.join('\n'));
const rounds: Round[] = [];
const wanted = Math.max(1, Number(flags.rounds) || 1);
while (rounds.length < wanted) {
  say(`round ${rounds.length + 1} of ${wanted}`);
  rounds.push(await playRound());
}
const section = sectionOf(rounds);
say(inTerminal(section));
if (flags.write) write(section);

function sectionOf(rounds: readonly Round[]): Section {
  const figure = (what: string, unit: Figure['unit'], of: (round: Round) => number): Figure => {
    return { what, unit, values: rounds.map(of).map((value) => (unit === 'MB' ? value / 1e6 : value)) };
  };
  return {
    title: 'Booted Debian hosts',
    figures: [
      figure('one host: `fleet hosts add` to its recap', 'ms', ({ one }) => one.addedMs),
      figure('one host: to its first smoke test passed', 'ms', ({ one }) => one.smokeMs),
      figure('three hosts with -P: to the recap', 'ms', ({ three }) => three.addedMs),
      figure('three hosts with -P: to the last of the first smoke tests', 'ms', ({ three }) => three.smokeMs),
      figure('sent to a new host', 'MB', ({ one }) => one.bytes),
      figure('sent for an upgrade of its agent', 'MB', ({ upgradeBytes }) => upgradeBytes),
      figure('`fleet agents upgrade` of one host', 'ms', ({ upgradeMs }) => upgradeMs),
      figure('an idle agent, resident', 'MB', ({ idle }) => idle.resident),
      figure('an idle agent, of its own (anonymous)', 'MB', ({ idle }) => idle.ofItsOwn),
    ],
    notes: [],
  };
}

/** What stands between the two marks is the run's, the rest of the page is a person's. */
function write(section: Section): void {
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))];
  const list = seen.map((line) => `- ${line}`).join('\n');
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${list}\n\n${inMarkdown(section)}\n${after}`);
  say(`\nwritten: ${PAGE}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
