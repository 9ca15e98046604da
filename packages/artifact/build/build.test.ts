import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Source } from '@fleet/config/controller.ts';
import type { FleetError } from '@fleet/protocol/errors.ts';
import t, { type Test } from 'tap';
import { build } from './build.ts';
import type { BuildRequest, Built, StoredArtifact } from './request.ts';
import { clearWork } from './rooms.ts';

const FLEET = `service: web
build:
  command: [sh, -c, "mkdir out && cp page.txt out/page.txt && env > out/env.txt.ignored && echo building"]
package:
  root: out
  exclude: ['*.ignored']
  test:
    command: [grep, -q, hello, page.txt]
run: { supervisor: process, command: [node, server.js] }
`;
/** As a user's git is: with hooks and settings of their own. */
function git(cwd: string, ...args: string[]): string {
  const who = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org', '-c', 'init.defaultBranch=main'];
  const env = {
    ...process.env,
    GIT_AUTHOR_DATE: '2026-11-20T08:15:30+02:00',
    GIT_COMMITTER_DATE: '2026-11-20T08:15:30+02:00',
  };
  return execFileSync('git', [...who, ...args], { cwd, env, encoding: 'utf8', stdio: 'pipe' }).trim();
}

async function write(dir: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
}

async function repository(t: Test, files: Record<string, string> = {}): Promise<string> {
  const dir = await temporary(t);
  git(dir, 'init', '-q');
  await commit(dir, { 'fleet.yaml': FLEET, 'page.txt': 'hello 1\n', ...files }, 'First page');
  return dir;
}

async function commit(dir: string, files: Record<string, string>, subject: string): Promise<string> {
  await write(dir, files);
  git(dir, 'add', '-A');
  git(dir, 'commit', '-q', '-m', subject);
  return git(dir, 'rev-parse', 'HEAD');
}

async function temporary(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'fleet-build-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A controller's side of builds, with what the store would remember. */
async function builder(t: Test, source: Source, data?: string) {
  const home = data ?? (await temporary(t));
  const rows: StoredArtifact[] = [];
  const said: string[] = [];
  const dirs = {
    git: join(home, 'git'),
    work: join(home, 'work'),
    artifacts: join(home, 'artifacts'),
    logs: join(home, 'logs'),
  };
  async function make(more: Partial<BuildRequest> = {}): Promise<Built> {
    const built = await build({
      service: 'web',
      source,
      dirs,
      existing: {
        bySourceKey: async (key) => rows.findLast((row) => row.sourceKey === key),
        byVersion: async (_, version) => rows.find((row) => row.version === version),
      },
      note: (text) => said.push(text),
      signal: new AbortController().signal,
      ...more,
    });
    const { manifest, ...rest } = built;
    if (built.built && !rows.some((row) => row.version === manifest.version))
      rows.push({ version: manifest.version, identity: manifest.identity, ...rest });
    return built;
  }
  async function fails(more: Partial<BuildRequest> = {}): Promise<FleetError> {
    try {
      await make(more);
    } catch (error) {
      const left = await readdir(dirs.work);
      if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
      return error as FleetError;
    }
    throw new Error('it did not fail');
  }
  return { make, fails, dirs, said, rows };
}

t.test('branch, tag and commit', async (t) => {
  const repo = await repository(t);
  git(repo, 'tag', '-a', 'v1.0.0', '-m', 'one');
  const first = git(repo, 'rev-parse', 'HEAD');
  const second = await commit(repo, { 'page.txt': 'hello 2\n' }, 'Second page');
  git(repo, 'branch', 'rc/next', second);
  const { make, dirs } = await builder(t, { git: repo, ref: 'main' });

  const main = await make();
  t.equal(
    main.manifest.version,
    `20261120T0615-${second.slice(0, 7)}`,
    'time of the commit in UTC, and its hash',
  );
  t.match(main.manifest.source, { kind: 'git', ref: 'main', commit: second });
  t.strictSame(
    main.manifest.files.map(({ path }) => path),
    ['page.txt'],
  );
  t.equal(main.artifactPath, join(dirs.artifacts, 'web', `${main.manifest.version}.tar.zst`));
  t.strictSame(
    (await readdir(join(dirs.artifacts, 'web'))).sort(),
    [`${main.manifest.version}.manifest.json`, `${main.manifest.version}.tar.zst`],
    'nothing else beside them',
  );
  t.match(
    await readFile(main.log!, 'utf8'),
    /^\$ sh -c .*\nbuilding\n\$ grep/s,
    'the log has commands and output',
  );

  const tag = await make({ ref: 'v1.0.0' });
  t.equal(tag.manifest.version, '1.0.0');
  t.equal(tag.manifest.source.commit, first, 'the commit, not the tag object');
  t.equal((await make({ ref: 'rc/next', version: 'next' })).manifest.source.commit, second);
  t.equal((await make({ ref: first.slice(0, 9) })).manifest.source.commit, first);
  t.equal((await make({ ref: 'refs/tags/v1.0.0' })).built, false);
  t.strictSame(await readdir(dirs.work), [], 'work trees are gone');
});

t.test('refs that are not there, or are options', async (t) => {
  const repo = await repository(t);
  git(repo, 'tag', 'v1.0.0');
  const { fails, make } = await builder(t, { git: repo, ref: 'main' });
  const unknown = await fails({ ref: 'mian' });
  t.match(unknown, { code: 'unknown_ref', message: /did you mean `main`/ });
  t.match(await fails({ ref: 'deadbeef' }), { code: 'unknown_ref' });
  const marker = join(await temporary(t), 'owned');
  for (const ref of [`--upload-pack=touch ${marker}`, '-h', '--all', 'main^{tree}', 'a..b', 'x\ny'])
    t.match(await fails({ ref }), { code: 'unknown_ref' }, ref);
  const hostile: Record<string, RegExp> = {
    [`--upload-pack=touch ${marker}`]: /option/,
    [`ext::sh -c "touch ${marker}"`]: /not allowed/,
    'http://127.0.0.1:1/x.git': /not allowed/,
    'git://127.0.0.1:1/x.git': /not allowed/,
    [join(repo, 'nowhere')]: /cannot be read/,
  };
  for (const [url, message] of Object.entries(hostile)) {
    const { fails } = await builder(t, { git: url, ref: 'main' });
    t.match(await fails(), { code: 'source_failed', message }, url);
  }
  await t.rejects(readFile(marker), 'no command was run');

  git(repo, 'tag', 'main', 'v1.0.0');
  const second = await commit(repo, { 'page.txt': 'hello 2\n' }, 'Second');
  t.equal(
    (await make({ ref: 'main' })).manifest.source.commit,
    second,
    'the branch, whatever tags there are',
  );
});

t.test('the same commit in two clones at two paths is the same artifact, byte for byte', async (t) => {
  const repo = await repository(t, { 'bin/run': '#!/bin/sh\n' });
  await chmod(join(repo, 'bin/run'), 0o755);
  await symlink('bin/run', join(repo, 'start'));
  const text = `service: web
build: { command: [sh, -c, 'echo "$SOURCE_DATE_EPOCH" > built.txt'] }
run: { supervisor: process, command: [node, server.js] }
`;
  await commit(repo, { 'fleet.yaml': text }, 'All of it');
  const made: Built[] = [];
  for (const [mask, folder] of [
    [0o022, 'x'],
    [0o077, 'somewhere/else'],
  ] as const) {
    const clone = join(await temporary(t), folder);
    git(tmpdir(), 'clone', '-q', repo, clone);
    const { make } = await builder(t, { git: clone, ref: 'main' });
    const former = process.umask(mask);
    try {
      made.push(await make());
    } finally {
      process.umask(former);
    }
  }
  const [one, other] = made as [Built, Built];
  t.strictSame(
    one.manifest.files.map(({ path }) => path),
    ['bin', 'bin/run', 'built.txt', 'fleet.yaml', 'page.txt', 'start'],
    'nothing of .git',
  );
  t.equal(one.manifest.identity, other.manifest.identity);
  t.equal(one.manifest.artifact.sha256, other.manifest.artifact.sha256);
  t.strictSame(await readFile(one.manifestPath), await readFile(other.manifestPath));
  t.equal(one.sourceKey, other.sourceKey);
});

t.test('an unchanged source is not built twice', async (t) => {
  const repo = await repository(t);
  const first = git(repo, 'rev-parse', 'HEAD');
  const { make, rows, said } = await builder(t, { git: repo, ref: 'main' });
  const one = await make();
  const again = await make();
  t.equal(again.built, false);
  t.equal(again.log, null);
  t.strictSame(again.manifest, one.manifest);
  t.equal((await make({ ref: first })).built, false, 'by another name of the commit');
  t.equal((await make({ version: '7.0.0' })).manifest.version, '7.0.0', 'another version is asked for');
  git(repo, 'tag', 'v1.0.0');
  git(repo, 'tag', 'v1.10.0');
  git(repo, 'tag', 'v1.10.0-rc.1');
  git(repo, 'tag', 'v1.9.0');
  git(repo, 'tag', 'latest');
  t.equal(
    (await make()).manifest.version,
    '1.10.0',
    'a tag is a name like one that is given; the highest wins',
  );
  t.equal((await make({ ref: 'v1.9.0' })).manifest.version, '1.9.0', 'or the one that was asked for');
  await rm(rows.find(({ version }) => version === '1.9.0')!.artifactPath);
  const mended = await make({ ref: 'v1.9.0' });
  t.equal(mended.built, true, 'its files were gone');
  t.ok(said.some((text) => /gone or damaged/.test(text)));
  t.ok((await readFile(mended.artifactPath)).length > 0);
  t.equal((await make({ ref: 'v1.9.0' })).built, false);
});

t.test('a version is one content', async (t) => {
  const repo = await repository(t);
  git(repo, 'tag', 'v1.0.0');
  const { make, fails } = await builder(t, { git: repo, ref: 'main' });
  const one = await make();
  await commit(repo, { 'README.md': 'not packed' }, 'Words');
  const same = await make({ version: '1.0.0' });
  t.equal(same.manifest.identity, one.manifest.identity, 'other commit, same content: the same artifact');
  t.equal(same.manifest.source.commit, one.manifest.source.commit);
  await commit(repo, { 'page.txt': 'hello 2\n' }, 'Page');
  t.match(await fails({ version: '1.0.0' }), { code: 'version_exists', next: /--version/ });
  git(repo, 'tag', '-f', 'v1.0.0');
  t.match(await fails(), { code: 'version_exists', next: /higher tag/ });
  t.strictSame(
    (await make({ ref: one.manifest.source.commit!, version: '1.0.0' })).manifest,
    one.manifest,
    'untouched',
  );
  t.match(await fails({ version: '../x' }), { code: 'bad_request' });
});

t.test('builds that fail', async (t) => {
  const repo = await repository(t);
  const { fails, make } = await builder(t, { git: repo, ref: 'main' });
  const service = async (text: string) => commit(repo, { 'fleet.yaml': text }, 'Change');
  const command = (argv: string) => FLEET.replace(/command: \[sh.*/, `command: ${argv}`);

  await service(command('[sh, -c, "echo the reason; exit 3"]'));
  const broken = await fails();
  t.match(broken, {
    code: 'build_failed',
    message: /^the build command failed: sh -c .* ended with exit status 3/,
    next: /by hand/,
    data: { command: ['sh', '-c', 'echo the reason; exit 3'], exit: 3, output: /the reason/ },
  });
  t.match(await readFile(String(broken.data.log), 'utf8'), /the reason/);
  await service(command('[no-such-program]'));
  t.match(await fails(), { code: 'build_failed', next: /Install no-such-program/ });
  await service(command('[sh, -c, "sleep 1000"]').replace('package:', '  timeout: 100ms\npackage:'));
  t.match(await fails(), { code: 'build_failed', data: { reason: 'timeout' }, next: /timeout/ });
  await service(FLEET.replace('hello', 'goodbye'));
  t.match(await fails(), { code: 'test_failed', data: { command: ['grep', '-q', 'goodbye', 'page.txt'] } });
  await service(FLEET.replace('root: out', 'root: dist'));
  t.match(await fails(), { code: 'source_failed', message: /dist/ });
  await service(FLEET.replace('service: web', 'service: wbe'));
  t.match(await fails(), { code: 'bad_config', message: /web@[0-9a-f]{7}:fleet.yaml/ });
  await service(FLEET.replace('root: out', 'rot: out'));
  t.match(await fails(), {
    code: 'bad_config',
    message: /fleet.yaml:5:3: package.rot: unknown key, did you mean `root`/,
  });
  git(repo, 'rm', '-q', 'fleet.yaml');
  git(repo, 'commit', '-q', '-m', 'Nothing');
  t.match(await fails(), { code: 'bad_config', message: /no such file/ });
  await symlink('/etc/passwd', join(repo, 'fleet.yaml'));
  await commit(repo, {}, 'A link');
  t.match(await fails(), { code: 'bad_config', message: /link/ });
  git(repo, 'reset', '-q', '--hard', 'HEAD~2');
  await service(FLEET);
  t.equal((await make()).built, true, 'and then it goes on');
});

t.test('the packed tree is tested, not the checkout', async (t) => {
  const repo = await repository(t);
  const tested = FLEET.replace(
    'grep, -q, hello, page.txt',
    'sh, -c, "ls; test ! -e env.txt.ignored && test ! -e fleet.yaml"',
  );
  await commit(repo, { 'fleet.yaml': tested }, 'Test');
  const { make } = await builder(t, { git: repo, ref: 'main' });
  t.match(await readFile((await make()).log!, 'utf8'), /\npage.txt\n$/);
});

t.test('nothing of the controller’s environment reaches a build', async (t) => {
  process.env.FLEET_TEST_SECRET = 'hunter2';
  t.teardown(() => delete process.env.FLEET_TEST_SECRET);
  const repo = await repository(t);
  const shown = FLEET.replace('[sh, -c, "', '[sh, -c, "env; ')
    .replace('package:', '  environment: { OWN: given }\npackage:')
    .replace('grep, -q, hello, page.txt', 'env');
  await commit(repo, { 'fleet.yaml': shown }, 'Show');
  const { make } = await builder(t, { git: repo, ref: 'main' });
  const log = await readFile((await make({ version: '3.0.0' })).log!, 'utf8');
  t.notMatch(log, /hunter2/);
  t.match(log, /^OWN=given$/m);
  t.match(log, /^VERSION=3.0.0$/m);
  t.match(log, /^SOURCE_DATE_EPOCH=1795155330$/m);
});

t.test('an aborted build ends and leaves nothing', async (t) => {
  const repo = await repository(t);
  await commit(
    repo,
    { 'fleet.yaml': FLEET.replace(/command: \[sh.*/, 'command: [sh, -c, "sleep 1000"]') },
    'Slow',
  );
  const abort = new AbortController();
  const { fails } = await builder(t, { git: repo, ref: 'main' });
  const note = (text: string) => {
    if (text.startsWith('$ sh')) abort.abort();
  };
  t.match(await fails({ signal: abort.signal, note }), { code: 'aborted' });
  t.match(await fails({ signal: AbortSignal.abort() }), { code: 'aborted' });
});

t.test('a folder of the repository', async (t) => {
  const repo = await repository(t, {
    'services/web/fleet.yaml': FLEET,
    'services/web/page.txt': 'hello below\n',
  });
  await symlink('/etc', join(repo, 'services/out'));
  await commit(repo, {}, 'A link');
  const { make } = await builder(t, { git: repo, ref: 'main', directory: 'services/web' });
  const built = await make();
  t.equal((built.manifest.files[0] as { size: number }).size, 12);
  const top = await (await builder(t, { git: repo, ref: 'main' })).make();
  t.not(top.sourceKey, built.sourceKey);
  for (const directory of ['services/none', '../..', 'services/out']) {
    const { fails } = await builder(t, { git: repo, ref: 'main', directory });
    t.match(await fails(), { code: 'bad_config', message: /has no folder/ }, directory);
  }
});

t.test('release notes are the commits since what runs', async (t) => {
  const repo = await repository(t);
  const first = git(repo, 'rev-parse', 'HEAD');
  await commit(repo, { a: '1' }, 'Add a');
  await commit(repo, { b: '1' }, 'Add b\n\nAt length.');
  const { make } = await builder(t, { git: repo, ref: 'main' });
  t.strictSame((await make({ since: first })).notes, ['Add b', 'Add a']);
  t.strictSame((await make({ since: first })).notes, ['Add b', 'Add a'], 'also where nothing is built');
  t.strictSame((await make()).notes, []);
  t.strictSame((await make({ since: '0'.repeat(40) })).notes, []);
  t.strictSame((await make({ since: '--all' })).notes, []);
});

t.test('a mirror that a crash tore is made anew; new commits are seen', async (t) => {
  const repo = await repository(t);
  const { make, dirs } = await builder(t, { git: repo, ref: 'main' });
  await make();
  await writeFile(join(dirs.git, 'web.git', 'HEAD'), '');
  await write(repo, { 'page.txt': 'hello 3\n' });
  const third = await commit(repo, {}, 'Third');
  t.equal((await make()).manifest.source.commit, third);
  t.strictSame(await readdir(dirs.git), ['web.git']);
  await rm(join(repo, '.git'), { recursive: true });
  t.equal((await make({ ref: third })).built, false, 'a whole commit needs no fetch');
});

t.test('a folder on this machine', async (t) => {
  const folder = await temporary(t);
  await write(folder, {
    'fleet.yaml': FLEET,
    'page.txt': 'hello 1\n',
    '.git/config': 'x',
    'sub/deep.txt': 'x',
  });
  await symlink('page.txt', join(folder, 'link'));
  const socket = createServer().on('error', t.fail).listen(join(folder, 'live.sock'));
  t.teardown(() => socket.close());
  // The data directory lies in the source, as with a controller.yaml beside fleet.yaml.
  const { make, fails, said, dirs } = await builder(t, { directory: folder }, join(folder, 'fleet-data'));
  const one = await make();
  t.match(one.manifest.version, new RegExp(`^\\d{8}T\\d{4}-${one.sourceKey.slice(0, 7)}$`));
  t.strictSame(one.manifest.source, { kind: 'directory', ref: folder });
  t.ok(said.includes('live.sock is no file, folder or link, and was left out'));
  t.equal((await make()).built, false, 'what fleet wrote into its own folder is no change');
  await write(folder, { 'page.txt': 'hello 2\n' });
  const two = await make();
  t.equal(two.built, true);
  t.not(two.manifest.identity, one.manifest.identity);
  t.equal((await make({ version: '2.0.0' })).manifest.version, '2.0.0');
  t.match(await fails({ ref: 'main' }), { code: 'bad_request' });
  t.strictSame(await readdir(join(folder, 'sub')), ['deep.txt'], 'the folder itself is left alone');
  t.notOk((await readdir(folder)).includes('out'));
  const none = await builder(t, { directory: join(folder, 'none') });
  t.match(await none.fails(), { code: 'source_failed', message: /none/ });
  await write(dirs.work, { 'web-torn/x': '' });
  await clearWork(dirs.work);
  t.strictSame(await readdir(dirs.work), []);
});
