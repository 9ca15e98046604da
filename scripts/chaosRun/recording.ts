/** Where a run writes down what it sees: one file of JSON lines for each instrument, and one clock for all. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { BalancerLine, CurrentLine, ProbeLine, Run, TimelineLine } from './record.ts';

/** Milliseconds of the machine's monotonic clock. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class Recording {
  readonly dir: string;
  readonly #open = new Map<string, number>();

  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(join(dir, 'logs'), { recursive: true });
    // Programs of the service append to it from outside.
    writeFileSync(this.programs, '');
  }

  get programs(): string {
    return join(this.dir, 'programs.jsonl');
  }

  run(run: Run): void {
    writeFileSync(join(this.dir, 'run.json'), JSON.stringify(run, null, 2));
  }
  timeline(line: TimelineLine): void {
    this.#append('timeline.jsonl', line);
  }
  balancer(line: BalancerLine): void {
    this.#append('balancer.jsonl', line);
  }
  probe(line: ProbeLine): void {
    this.#append('probes.jsonl', line);
  }
  current(line: CurrentLine): void {
    this.#append('current.jsonl', line);
  }

  #append(name: string, line: object): void {
    let file = this.#open.get(name);
    if (file === undefined) {
      file = openSync(join(this.dir, name), 'a');
      this.#open.set(name, file);
    }
    writeSync(file, `${JSON.stringify(line)}\n`);
  }

  close(): void {
    for (const file of this.#open.values()) closeSync(file);
    this.#open.clear();
  }
}
