/** Starting the shim of a service, in a session of its own, so that it lives on when the agent does not. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { chmod, chown, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { MARKER } from '@fleet/process/ending.ts';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { givePipe, makeNamedPipe } from '@fleet/process/pipe.ts';
import type { User } from '@fleet/process/user.ts';
import type { Report } from './state.ts';

export const SHIM = fileURLToPath(new URL('./shim.mjs', import.meta.url));
/** It holds no data of its own: less room for garbage is less memory for every service of a host. */
const LEAN = ['--max-old-space-size=32', '--max-semi-space-size=1', '--v8-pool-size=1'];
const REPORT_MS = 10_000;

/** Resolves when the program of spec.json is up, or has ended at once; then the shim starts it again until it is stopped. */
export async function launchShim(home: string, user: User | undefined): Promise<Report> {
  const output = join(home, 'output');
  if (!existsSync(output)) await makeNamedPipe(output);
  await chown(output, process.getuid!(), process.getgid!());
  await chmod(output, 0o600);
  await givePipe(output, user);
  const complaints = join(home, 'shim.log');
  const stderr = openSync(complaints, 'w', 0o600);
  const shim = spawn(process.execPath, [...LEAN, SHIM, home], {
    cwd: '/',
    // Marked like its program: a shim that died before it wrote down who it is, or lives on unknown, is found by this.
    env: cleanEnvironment({ [MARKER]: home }),
    detached: true,
    stdio: ['ignore', 'pipe', stderr],
  });
  closeSync(stderr);
  shim.unref();
  const stdout = shim.stdout!;
  const said = await Promise.race([
    firstLine(stdout),
    new Promise<Error>((resolve) => shim.on('error', resolve)),
  ]);
  stdout.destroy();
  if (said instanceof Error) return broken(`no shim could be started: ${said.message}`);
  if (said === '') return broken(`its shim ended or said nothing: ${await readFile(complaints, 'utf8')}`);
  return JSON.parse(said) as Report;
}

/** Empty where the stream ends, or time does, without one. */
function firstLine(stream: Readable): Promise<string> {
  return new Promise((resolve) => {
    let line = '';
    const done = () => {
      clearTimeout(timer);
      resolve(line.endsWith('\n') ? line : '');
    };
    const timer = setTimeout(done, REPORT_MS);
    stream.on('error', done);
    stream.on('close', done);
    stream.on('data', (chunk: Buffer) => {
      line += chunk.toString();
      if (line.endsWith('\n')) done();
    });
  });
}

function broken(problem: string): Report {
  return { up: false, code: null, signal: null, problem };
}
