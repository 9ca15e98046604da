/** The application without the tool: what it takes itself to stop, to start and to answer. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePorts } from '../local/ports.ts';
import { HOSTS, SAMPLE } from './scene.ts';

/** Milliseconds of one restart by hand: as often as a deployment restarts it, and the mean of that. */
export async function ownRestart(): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-application-'));
  try {
    cpSync(SAMPLE, dir, { recursive: true });
    writeFileSync(join(dir, 'version'), 'by hand');
    let total = 0;
    for (const _ of HOSTS) total += await startAndStop(dir);
    return total / HOSTS.length;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** From its start to its first answer, and from SIGTERM to its exit. */
async function startAndStop(cwd: string): Promise<number> {
  const [port = 0] = await freePorts(1);
  const started = performance.now();
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd,
    env: { ...process.env, PORT: String(port) },
    stdio: 'ignore',
  });
  const exit = once(child, 'exit');
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`the sample ended with ${child.exitCode}`);
    await pause(1);
  }
  const startMs = performance.now() - started;
  const asked = performance.now();
  child.kill('SIGTERM');
  await exit;
  return startMs + performance.now() - asked;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.on('error', () => resolve(false));
      response.on('end', () => resolve(response.statusCode === 200));
      response.resume();
    });
    request.on('error', () => resolve(false));
  });
}
