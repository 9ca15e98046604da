/**
 * What the agent writes for the scripts that a service's unit starts. Each line is a word and what belongs to it; whatever a
 * blank, a quote or a line's end could be in is written in octal, so that a shell takes it apart without evaluating any of it.
 */
import { goesByArgv } from '@fleet/process/user.ts';

/** In the run folder of a service: what to start, there for as long as it should run; and how it is asked to end. */
export const RECIPE = 'launch';
export const HALTING = 'halt';

export interface Recipe {
  /** Where it runs. Absolute. */
  directory: string;
  argv: readonly string[];
  /** All of it. */
  environment: Readonly<Record<string, string>>;
  /** The program says READY itself. */
  notify: boolean;
}

const ENV = '/usr/bin/env';

export function recipeText({ directory, argv, environment, notify }: Recipe): string {
  const entries = Object.entries(environment);
  // A shell has these for itself, and could not hand them on as they are.
  const byArgv = entries.filter(([name]) => goesByArgv(name)).map(([name, value]) => `${name}=${value}`);
  const whole = byArgv.length > 0 ? [ENV, ...byArgv, ...argv] : argv;
  return [
    `directory ${encoded(directory)}`,
    ...(notify ? ['notify'] : []),
    ...whole.map((each) => `argument ${encoded(each)}`),
    ...entries
      .filter(([name]) => !goesByArgv(name))
      .map(([name, value]) => `variable ${encoded(value)} ${name}`),
    'end',
    '',
  ].join('\n');
}

/** How it is asked to end, and how long it has then. */
export function haltingText({ signal, grace }: { signal: NodeJS.Signals; grace: number }): string {
  return `${signal.replace('SIG', '')} ${Math.ceil(grace / HALT_LOOKS_EVERY_MS)}\n`;
}
export const HALT_LOOKS_EVERY_MS = 50;

/** `=` alone is nothing at all: a line's parts are separated by blanks. */
function encoded(text: string): string {
  const bytes = [...Buffer.from(text)].map((byte) => {
    const character = String.fromCharCode(byte);
    return PLAIN.test(character) ? character : `\\0${byte.toString(8).padStart(3, '0')}`;
  });
  return `=${bytes.join('')}`;
}
const PLAIN = /^[A-Za-z0-9_./:=@%+,-]$/;
