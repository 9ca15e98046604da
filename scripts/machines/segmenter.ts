/** The repository of a service for booted hosts, which have no Node but fleet's own: three versions of it, the third is broken. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const NODE = '/srv/fleet/fleet-node/current/bin/node';
/** Answers with its version and its host; says that it stops, and finishes what is open. */
const SERVER = `const { createServer } = require('node:http');
const { hostname } = require('node:os');
const { version, broken } = require('./version.json');
const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json');
  if (broken) response.statusCode = 500;
  response.end(JSON.stringify({ version, host: hostname() }) + '\\n');
});
server.listen(Number(process.env.PORT), () => console.log('segmenter ' + version + ' listens'));
process.on('SIGTERM', () => {
  console.log('segmenter ' + version + ' stops');
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
`;
const FLEET_YAML = `service: segmenter
package: { include: [server.js, version.json], compression: gzip }
variables:
  PORT: { description: where it listens }
run:
  supervisor: systemd
  command: [${NODE}, server.js]
  environment: { PORT: "\${PORT}" }
hooks:
  before_start: { command: [/bin/sh, -c, "id -un"], repeatable: true }
once:
  - { name: migrate, command: [/bin/sh, -c, "echo migrated by $(id -un)"], repeatable: true }
smoke:
  - { name: answers, kind: http, port: "\${PORT}", path: /health, contains: "\${VERSION}", within: 20s }
shared: [data]
`;

export const VERSIONS = { first: '1.0.0', second: '1.1.0', third: '1.2.0', broken: '1.3.0' } as const;

/** Branch main is at the first version; each version has a tag, v1.0.0. The broken one does not answer its smoke check. */
export function makeSegmenter(dir: string): void {
  mkdirSync(dir, { recursive: true });
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', ...argv], {
      cwd: dir,
      stdio: 'ignore',
    });
  git('init', '--initial-branch', 'main');
  writeFileSync(join(dir, 'server.js'), SERVER);
  writeFileSync(join(dir, 'fleet.yaml'), FLEET_YAML);
  for (const version of Object.values(VERSIONS)) {
    const broken = version === VERSIONS.broken;
    writeFileSync(join(dir, 'version.json'), `${JSON.stringify({ version, broken })}\n`);
    writeFileSync(join(dir, 'package.json'), `${JSON.stringify({ name: 'segmenter', version })}\n`);
    git('add', '.');
    git('commit', '-m', `Release ${version}`);
    git('tag', `v${version}`);
  }
  git('branch', '--force', 'next', `v${VERSIONS.second}`);
  git('reset', '--hard', `v${VERSIONS.first}`);
}
