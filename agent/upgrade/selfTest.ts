/**
 * What a release says of itself before it is put in the place of another: `agent.js --self-test` loads all that it is made of, and
 * reads what its predecessor wrote on this host. Nothing is changed. The other side of it starts the test, by the Node that would run it.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { describe, ok, run } from '@fleet/process/run.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { OWN } from '@fleet/protocol/words.ts';
import type { AgentSettings } from '../config/config.ts';
import { realDisk } from '../disk/disk.ts';
import { ifThere } from '../disk/durable.ts';
import { readRecord } from '../releases/journal.ts';
import { homeOf, releaseDirectory } from '../releases/layout.ts';
import { SHIM } from '../supervisors/launch.ts';
import { openTrust } from '../trust/trust.ts';
import { lineOf } from './notes.ts';
import type { Versions } from './versions.ts';

/** Ten thousand records are read in a second; a Node that hangs is given up. */
const TEST_MS = 30_000;

/** The line that a release proves itself with. Throws what a start would throw. */
export async function selfTest(settings: AgentSettings, versions: Versions): Promise<string> {
  const { data, host } = settings;
  // What is loaded only where it is wanted.
  await import('../join/main.ts');
  if (!existsSync(SHIM)) throw new FleetError('internal', `${SHIM} is missing`);
  openTrust(join(data, 'trust'), host);
  JSON.parse((await ifThere(readFile(join(data, 'epochs.json'), 'utf8'))) ?? '{}');
  const journal = join(data, 'journal');
  for (const name of (await ifThere(readdir(journal))) ?? [])
    if (name.endsWith('.json')) readRecord(await readFile(join(journal, name), 'utf8'), name);
  return lineOf(versions) ?? 'no release';
}

/** `root` and what comes below it as paths that hold. Throws `start_failed`. */
export async function testRelease(root: string, versions: Versions, argv: readonly string[]): Promise<void> {
  const place = (service: keyof Versions) =>
    releaseDirectory(homeOf(root, service, realDisk), versions[service] ?? '');
  const program = [
    join(place(OWN.node), 'bin/node'),
    join(place(OWN.agent), 'agent.js'),
    '--self-test',
    ...argv,
  ];
  const ended = await run({ argv: program, cwd: '/', env: cleanEnvironment(), timeoutMs: TEST_MS });
  const said = ended.output.text;
  if (ok(ended) && said.trimEnd().split('\n').at(-1) === lineOf(versions)) return;
  const how = ok(ended) ? 'did not say which release it is' : describe(ended, program);
  throw new FleetError('start_failed', `the self-test of ${lineOf(versions)} failed: ${how}`, {
    next: 'what it printed says why; what runs was not touched',
    data: { output: said },
  });
}
