/** A service that starts at once, with hooks and a once step that write one line each when they begin and when they end. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const SERVICE = 'ticker';
/** Those that may run again after an interruption. */
export const REPEATABLE: ReadonlySet<string> = new Set(['before_stop', 'after_start']);

const SERVER = `import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
const { PORT, LOG, FLEET_HOST, FLEET_VERSION } = process.env;
const server = createServer((_, response) => response.end(FLEET_VERSION));
server.listen(Number(PORT), '127.0.0.1', () => appendFileSync(LOG, ['begin', FLEET_HOST, FLEET_VERSION, 'service'].join(' ') + '\\n'));
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeAllConnections(); });
`;
const HOOK = `say() { echo "$1 $FLEET_HOST $FLEET_VERSION $name" >> "$LOG"; }
name=$1
say begin
say end
`;
const hook = (name: string) =>
  `{ command: [sh, hook.sh, ${name}], timeout: 20s, repeatable: ${REPEATABLE.has(name)} }`;
const FILES: Record<string, string> = {
  'server.mjs': SERVER,
  'hook.sh': HOOK,
  'fleet.yaml': `service: ${SERVICE}
package: { test: { command: [node, --check, server.mjs] } }
variables: { PORT: {}, LOG: {} }
run:
  supervisor: process
  command: [node, server.mjs]
  environment: { PORT: "\${PORT}", LOG: "\${LOG}" }
hooks:
  before_stop: ${hook('before_stop')}
  after_stop: ${hook('after_stop')}
  before_start: ${hook('before_start')}
  after_start: ${hook('after_start')}
once:
  - { name: migrate, command: [sh, hook.sh, migrate], repeatable: false }
smoke:
  - { name: answers, kind: http, port: "\${PORT}", contains: "\${VERSION}", within: 5s, timeout: 1s, interval: 20ms }
`,
};
/** Several chunks of a transfer. */
const BALLAST = 900_000;

export class Repository {
  readonly dir: string;
  #last = 0;
  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true });
    for (const [name, text] of Object.entries(FILES)) writeFileSync(join(dir, name), text);
    this.#git('init', '--initial-branch', 'main');
  }

  /** Commits and tags one more version, and gives its name. */
  release(): string {
    const version = `1.${this.#last++}.0`;
    writeFileSync(join(this.dir, 'ballast'), randomBytes(BALLAST));
    this.#git('add', '--all');
    this.#git('commit', '-m', `${SERVICE} ${version}`);
    this.#git('tag', `v${version}`);
    return version;
  }

  #git(...argv: string[]): void {
    const who = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com'];
    execFileSync('git', [...who, ...argv], { cwd: this.dir, stdio: 'ignore' });
  }
}
