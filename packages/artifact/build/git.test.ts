/** Git is run in an environment of its own: what somebody has put into ours is not obeyed. */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { gitEnvironment } from './git.ts';
import { updateMirror } from './mirror.ts';
import { resolveRef, tagsOn } from './refs.ts';

t.test('variables that change what git does', async (t) => {
  const dir = t.testdir({ repo: {} });
  const repo = join(dir, 'repo');
  const who = ['-c', 'user.name=A', '-c', 'user.email=a@example.com'];
  for (const argv of [
    ['init', '-b', 'main'],
    ['commit', '--allow-empty', '-m', 'first'],
    ['tag', 'v1'],
  ])
    execFileSync('git', [...who, ...argv], { cwd: repo, stdio: 'ignore' });
  const marker = join(dir, 'marker');
  const program = join(dir, 'program');
  writeFileSync(program, `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
  const hostile: Record<string, string> = {
    GIT_DIR: '/nowhere',
    GIT_WORK_TREE: '/nowhere',
    GIT_OBJECT_DIRECTORY: '/nowhere',
    GIT_EXEC_PATH: dir,
    GIT_SSH: program,
    GIT_PROXY_COMMAND: program,
    GIT_ASKPASS: program,
    GIT_EXTERNAL_DIFF: program,
    GIT_PAGER: program,
    GIT_EDITOR: program,
    GIT_ALLOW_PROTOCOL: 'ext',
    GIT_CONFIG_PARAMETERS: `'core.fsmonitor=${program}'`,
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'uploadpack.packObjectsHook',
    GIT_CONFIG_VALUE_0: program,
    LD_PRELOAD: program,
  };
  const before = { ...process.env };
  t.teardown(() => {
    process.env = before;
  });
  Object.assign(process.env, hostile);
  const kept = Object.keys(gitEnvironment()).filter(
    (name) => name.startsWith('GIT_') || name.startsWith('LD_'),
  );
  t.same(kept.sort(), ['GIT_ALLOW_PROTOCOL', 'GIT_SSH_COMMAND', 'GIT_TERMINAL_PROMPT']);

  const mirror = { dir: join(dir, 'mirror.git'), url: repo, signal: new AbortController().signal };
  await updateMirror(mirror);
  const { commit } = await resolveRef(mirror, 'main');
  t.same(await tagsOn(mirror, commit), ['v1']);
  for (const protocol of ['ext', 'git', 'http', 'fd'])
    await t.rejects(
      updateMirror({ ...mirror, url: `${protocol}::${program}` }),
      { code: 'source_failed' },
      protocol,
    );
  t.notOk(existsSync(marker), 'nothing of it was run');
});
