import { spawnSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const HERE = fileURLToPath(new URL('./environment.ts', import.meta.url));
const SAYS = `import { cleanEnvironment } from '${HERE}'; console.log(cleanEnvironment().PATH.split(':')[0])`;

/** Where what a program starts finds Node first, when the program was started so. */
function pathOf(node: string, argv0?: string): string {
  const argv = ['--input-type=module', '--eval', SAYS];
  return spawnSync(node, argv, { encoding: 'utf8', argv0: argv0 ?? node, env: {} }).stdout.trim();
}

t.test('what is started finds Node where it was found, not where that led to on that day', async (t) => {
  const current = join(t.testdir(), 'current');
  symlinkSync(dirname(process.execPath), current);
  t.equal(pathOf(join(current, 'node')), current);
  t.equal(pathOf(process.execPath, 'node'), dirname(process.execPath), 'a name says nothing');
});
