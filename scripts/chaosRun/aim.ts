/** Waiting for the moment at which it hurts: while a program of the service runs that is not there for long. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProgramLine } from './record.ts';
import { now } from './recording.ts';

const LOOK_MS = 10;
const LASTING = new Set(['service', 'smoke']);

/** Resolves when a hook or once step begins on a host, or after `mostMs` without one. */
export async function whenHookBegins(programs: string, host: string, mostMs: number): Promise<void> {
  const file = openSync(programs, 'r');
  try {
    const end = now() + mostMs;
    let from = fstatSync(file).size;
    while (now() < end) {
      await sleep(LOOK_MS);
      const block = Buffer.alloc(64 * 1024);
      const text = block.toString('utf8', 0, readSync(file, block, 0, block.length, from));
      // The last line may not be whole yet: it is read again.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      from += Buffer.byteLength(whole);
      const lines = whole.split('\n').filter(Boolean);
      if (lines.map((line) => JSON.parse(line) as ProgramLine).some((line) => isHook(line, host))) return;
    }
  } finally {
    closeSync(file);
  }
}

function isHook({ host, name, event }: ProgramLine, wanted: string): boolean {
  return host === wanted && event === 'begin' && !LASTING.has(name);
}
