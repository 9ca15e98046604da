#!/usr/bin/env node
// The one file that knows the programs. Plain JavaScript that an older Node can read, because there it must say what to do, or go
// on with the Node 24 that the checkout holds.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const PROGRAMS = {
  controller: { load: () => import('@fleet/controller/main.ts'), daemon: true },
  agent: { load: () => import('@fleet/agent/main.ts'), daemon: true },
  init: { load: () => import('@fleet/controller/init.ts') },
  rehearse: { load: () => import('@fleet/controller/rehearse/main.ts') },
  restore: { load: () => import('@fleet/controller/restore.ts') },
};
/** `fleet hosts add` speaks SSH, which no other verb has to load. */
const HOSTS = { load: () => import('@fleet/controller/provision/main.ts') };
const VERBS = { load: () => import('../main.ts') };
const checkout = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const argv = process.argv.slice(2);

if (Number.parseInt(process.versions.node, 10) >= NEEDED) {
  const { start } = await import('./start.js');
  const ofHosts = argv[0] === 'hosts' && (argv[1] === 'add' || argv[1] === 'clean');
  const program = Object.hasOwn(PROGRAMS, argv[0] ?? '') ? PROGRAMS[argv[0]] : ofHosts ? HOSTS : undefined;
  await start(program ?? VERBS, program ? argv.slice(1) : argv);
} else {
  const newer = findNode();
  if (newer) goOnWith(newer);
  else {
    process.stderr.write(
      `fleet needs Node ${NEEDED} or newer and this is ${process.version}: run ${join(checkout, 'scripts/quickstart')}, which fetches one into the checkout\n`,
    );
    process.exitCode = 2;
  }
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
