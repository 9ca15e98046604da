/** What is in each bundle: a folder that holds all that its programs need. */
import { chmodSync, constants, copyFileSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Metafile } from 'esbuild';
import { bundle, type Code, ROOT } from './code.ts';
import { type Platform, requireMachine } from './elf.ts';
import { licencesOf } from './licences.ts';

const PROCESSES = { thread: 'packages/artifact/thread.ts', apart: 'packages/artifact/apart.ts' };
const SHIM = { 'shim.mjs': 'agent/supervisors/shim.mjs' };
const SWAGGER = 'packages/@fastify';

/** The agent, for every architecture: it has no native part. */
export async function agentFolder(into: string): Promise<void> {
  const agent = { agent: 'packages/cli/bin/agent.js' };
  const from = await bundle({ into, programs: { ...agent, ...PROCESSES }, files: SHIM });
  describe(into, from);
  requireMachine(into, undefined);
}

/** The command line and what an operator runs beside it. */
export function cliFolder(into: string, platform: Platform): Promise<void> {
  const elsewhere = './scripts/bundles/elsewhere.ts';
  const instead = Object.fromEntries(
    ['controller/main.ts', 'controller/restore.ts', 'agent/main.ts'].map((name) => [
      `@fleet/${name}`,
      elsewhere,
    ]),
  );
  return fleetFolder(into, platform, { files: filesOf('packages/config/templates', 'templates'), instead });
}

/** All of fleet. `programs` is the folder of what it puts on hosts. */
export async function controllerFolder(into: string, platform: Platform, programs: string): Promise<void> {
  const files = {
    ...SHIM,
    ...filesOf('packages/config/templates', 'templates'),
    ...filesOf('controller/store/migrations', 'migrations'),
    ...filesOf('node_modules/@fastify/swagger-ui/static', `${SWAGGER}/swagger-ui/static`),
    [`${SWAGGER}/swagger/package.json`]: 'node_modules/@fastify/swagger/package.json',
  };
  await fleetFolder(into, platform, { files });
  cpSync(programs, join(into, 'programs'), { recursive: true, mode: constants.COPYFILE_FICLONE });
}

async function fleetFolder(
  into: string,
  platform: Platform,
  { files, instead = {} }: Pick<Code, 'files' | 'instead'>,
): Promise<void> {
  const from = await bundle({
    into: join(into, 'lib'),
    programs: { fleet: 'packages/cli/bin/fleet.js', ...PROCESSES },
    files,
    // Of the native parts that it has for every machine, one.
    instead: { ...instead, 'better-sqlite3': `better-sqlite3/${platform}` },
  });
  copyFileSync(join(ROOT, 'scripts/bundles/fleet.sh'), join(into, 'fleet'));
  chmodSync(join(into, 'fleet'), 0o755);
  describe(into, from);
  describe(join(into, 'lib'));
  requireMachine(into, platform);
}

/** Node beside what it runs. `node`: a folder of `nodeFor`. */
export function addNode(into: string, platform: Platform, node: string): void {
  for (const [from, to] of [
    ['bin/node', 'bin/node'],
    ['LICENSE', 'bin/LICENSE'],
  ] as const) {
    mkdirSync(dirname(join(into, to)), { recursive: true });
    copyFileSync(join(node, from), join(into, to), constants.COPYFILE_FICLONE);
  }
  requireMachine(join(into, 'bin'), platform);
}

/** That its JavaScript is modules, whatever lies above it; and whose it is. */
function describe(into: string, from?: Metafile): void {
  writeFileSync(join(into, 'package.json'), '{ "type": "module" }\n');
  if (from === undefined) return;
  copyFileSync(join(ROOT, 'LICENSE'), join(into, 'LICENSE'));
  writeFileSync(join(into, 'LICENSES-OF-OTHERS'), licencesOf(from));
}

function filesOf(folder: string, to: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(join(ROOT, folder)).map((name) => [`${to}/${name}`, join(folder, name)]),
  );
}
