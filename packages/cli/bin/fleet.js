#!/usr/bin/env node
// The one file that knows the programs: `fleet controller`, `fleet agent`, `fleet init`, `fleet restore`, and the command line. Plain JavaScript that
// an older Node can read, because there it must say what to do, or go on with the Node 24 that the checkout holds.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const LEAN = '--max-semi-space-size=1';
const checkout = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const argv = process.argv.slice(2);

if (Number.parseInt(process.versions.node, 10) >= NEEDED) await start();
else {
  const newer = findNode();
  if (newer) goOnWith(newer);
  else {
    process.stderr.write(
      `fleet needs Node ${NEEDED} or newer and this is ${process.version}: run ${join(checkout, 'scripts/quickstart')}, which fetches one into the checkout\n`,
    );
    process.exitCode = 2;
  }
}

async function start() {
  const daemon = { controller: '@fleet/controller/main.ts', agent: '@fleet/agent/main.ts' }[argv[0]];
  if (daemon && !process.execArgv.includes(LEAN)) goOnLean();
  const program =
    daemon ?? { init: '@fleet/controller/init.ts', restore: '@fleet/controller/restore.ts' }[argv[0]];
  // In the user's own directory, never in /tmp: whoever can write the cache decides what runs.
  module.enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fleet'));
  const { main } = await import(program ?? '../main.ts');
  try {
    await main(program ? argv.slice(1) : argv);
  } catch (thrown) {
    // Loaded only now: a program that starts well does not need it.
    const { reportFailure } = await import('../print/error.ts');
    process.exitCode = reportFailure(thrown);
  }
}

/**
 * Controller and agent run for months beside what a host is for. Left to itself V8 takes 40 MB more than they need before it
 * collects, and reads how much it may take at its start only: so this very process starts once more.
 */
function goOnLean() {
  const again = [process.execPath, ...process.execArgv, LEAN, ...process.argv.slice(1)];
  process.execve(process.execPath, again, { ...process.env, MALLOC_ARENA_MAX: '2' });
}

function findNode() {
  const modules = join(checkout, '.toolchain/node_modules');
  if (!existsSync(modules)) return undefined;
  return readdirSync(modules)
    .filter((name) => name.startsWith('node-'))
    .map((name) => join(modules, name, 'bin/node'))
    .find((path) => existsSync(path));
}

function goOnWith(node) {
  // A terminal sends Ctrl-C to both of us; anybody else only knows this process.
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  let child;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !onTerminal) child?.kill(signal);
    });
  child = spawn(node, [fileURLToPath(import.meta.url), ...argv], { stdio: 'inherit' });
  child.on('error', (error) => {
    process.stderr.write(`${node} does not start: ${error.message}\n`);
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
