/** Unpacking by a user without rights, which only root can have done. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import t, { type Test } from 'tap';
import { finish } from './finish.ts';
import { rush } from './pace.ts';
import { pack } from './pack.ts';
import { takeOver } from './takeOver.ts';
import { unpack } from './unpack.ts';
import { writeRelease } from './unpackArchive.ts';

t.setTimeout(300_000);

const NOBODY = { uid: 65534, gid: 65534 };
const SKIP = process.getuid?.() === 0 ? false : 'only root can unpack as another user';

async function packed(t: Test, files: Record<string, string>) {
  const dir = t.testdir({ tree: files, staging: {} });
  chmodSync(join(dir, 'staging'), 0o700);
  const artifact = join(dir, 'staging', 'artifact');
  const manifest = await pack({
    ...{
      dir: join(dir, 'tree'),
      root: '.',
      include: ['**'],
      exclude: [],
      compression: 'zstd',
      out: artifact,
    },
    ...{ service: 'web', version: '1.0.0', sealed: {}, platform: 'any' },
    source: { kind: 'directory', ref: dir },
  });
  return { dir, staging: join(dir, 'staging'), artifact, manifest, into: join(dir, 'staging', 'new') };
}

t.test(
  'what nobody unpacked is root’s when it is done, in a place that nobody can reach',
  { skip: SKIP },
  async (t) => {
    const { staging, artifact, manifest, into, dir } = await packed(t, { some: '' });
    const files = { a: 'hello\n', 'd/e/f': 'deep\n', 'bin/run': '#!/bin/sh\n' };
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(dir, 'more', path, '..'), { recursive: true });
      writeFileSync(join(dir, 'more', path), content);
    }
    chmodSync(join(dir, 'more/bin/run'), 0o755);
    symlinkSync('../a', join(dir, 'more/d/link'));
    const whole: Manifest = await pack({
      ...{
        dir: join(dir, 'more'),
        root: '.',
        include: ['**'],
        exclude: [],
        compression: 'gzip',
        out: artifact,
      },
      ...{ service: 'web', version: '1.0.0', sealed: {}, platform: 'any', source: manifest.source },
    });
    t.match(await unpack({ artifact, manifest: whole, into, as: NOBODY }), { files: 7 });
    for (const [path, mode] of [
      ['.', 0o755],
      ['a', 0o644],
      ['bin', 0o755],
      ['bin/run', 0o755],
      ['d/e', 0o755],
      ['d/e/f', 0o644],
      ['d/link', 0o777],
    ] as const) {
      const { uid, gid, mode: found } = lstatSync(join(into, path));
      t.strictSame([uid, gid, (found & 0o7777).toString(8)], [0, 0, mode.toString(8)], path);
    }
    t.equal(readlinkSync(join(into, 'd/link')), '../a');
    t.equal(readFileSync(join(into, 'd/e/f'), 'utf8'), 'deep\n');
    t.equal(lstatSync(staging).mode & 0o777, 0o700);
  },
);

t.test('what is refused leaves nothing, and nobody', { skip: SKIP }, async (t) => {
  const { artifact, manifest, into, staging } = await packed(t, { a: 'hello\n', b: 'world\n' });
  const [first, ...others] = manifest.files;
  const other = { ...manifest, files: [{ ...first!, sha256: '0'.repeat(64) }, ...others] } as Manifest;
  await t.rejects(unpack({ artifact, manifest: other, into, as: NOBODY }), {
    code: 'bad_archive',
    message: /"a" has other content than the manifest says/,
  });
  t.strictSame(readdirSync(staging), ['artifact']);
  t.strictSame(standingIn(into), []);
});

t.test('an archive that is refused at its last byte has not been written at its first', async (t) => {
  const { artifact, manifest, into } = await packed(t, { a: 'hello\n', b: 'world\n' });
  const last = { ...manifest.files.at(-1)!, sha256: '0'.repeat(64) };
  const other = { ...manifest, files: [...manifest.files.slice(0, -1), last] } as Manifest;
  mkdirSync(into);
  const fd = openSync(artifact, 'r');
  t.teardown(() => closeSync(fd));
  await t.rejects(writeRelease(fd, other, into), { message: /"b" has other content/ });
  t.strictSame(readdirSync(into), []);
});

/** What somebody might do who took over the process that unpacks. */
const TRICKS: Record<string, { trick: (into: string, outside: string) => void; refused: RegExp }> = {
  'other content': {
    trick: (into) => writeFileSync(join(into, 'd/f'), 'HELLO\n'),
    refused: /other content/,
  },
  'a link in the place of a file': {
    trick: (into, outside) => {
      rmSync(join(into, 'd/f'));
      symlinkSync(join(outside, 'secret'), join(into, 'd/f'));
    },
    refused: /ELOOP/,
  },
  'a link in the place of a directory': {
    trick: (into, outside) => {
      rmSync(join(into, 'd'), { recursive: true });
      symlinkSync(outside, join(into, 'd'));
    },
    refused: /ENOTDIR|ELOOP/,
  },
  'another name of somebody else’s file': {
    trick: (into, outside) => {
      rmSync(join(into, 'd/f'));
      linkSync(join(outside, 'secret'), join(into, 'd/f'));
    },
    refused: /"d\/f" is not what was unpacked/,
  },
  'another name of its own file, kept elsewhere': {
    trick: (into, outside) => linkSync(join(into, 'd/f'), join(outside, 'kept')),
    refused: /"d\/f" is not what was unpacked/,
  },
  'a directory of somebody else': {
    trick: (into, outside) => {
      renameSync(join(into, 'd'), join(outside, 'mine'));
      mkdirSync(join(into, 'd'));
      writeFileSync(join(into, 'd/f'), 'hello\n');
    },
    refused: /"d" is not what was unpacked/,
  },
  'a file too many': {
    trick: (into) => writeFileSync(join(into, 'd/more'), ''),
    refused: /d\/more: not in the manifest/,
  },
  'a file too few': { trick: (into) => rmSync(join(into, 'd/f')), refused: /ENOENT/ },
  'a mode that is not the manifest’s': {
    trick: (into) => chmodSync(join(into, 'd/f'), 0o666),
    refused: /mode 666, not 644/,
  },
};
for (const [name, { trick, refused }] of Object.entries(TRICKS))
  t.test(`not believed: ${name}`, { skip: SKIP }, async (t) => {
    const { manifest, into } = await packed(t, { d: { f: 'hello\n' } } as unknown as Record<string, string>);
    const outside = t.testdir({ place: { secret: 'mine' } });
    const secret = join(outside, 'place', 'secret');
    chmodSync(secret, 0o600);
    chownSync(secret, 1234, 1234);
    mkdirSync(join(into, 'd'), { recursive: true });
    writeFileSync(join(into, 'd/f'), 'hello\n');
    for (const path of ['d/f', 'd', '.']) chownSync(join(into, path), NOBODY.uid, NOBODY.gid);
    trick(into, join(outside, 'place'));
    const done = async () => {
      rush(takeOver(into, manifest, NOBODY.uid));
      await finish(into, manifest);
    };
    await t.rejects(done(), { message: refused });
    const { uid, mode } = lstatSync(secret);
    t.strictSame([uid, mode & 0o777], [1234, 0o600], 'what is outside is as it was');
  });

t.test('who unpacks ends with who waits for it', { skip: SKIP }, async (t) => {
  const names = Array.from({ length: 3000 }, (_, index) => `f${String(index).padStart(5, '0')}`);
  const files = Object.fromEntries(names.map((name) => [name, name]));
  const { artifact, manifest, into, dir } = await packed(t, files);
  writeFileSync(join(dir, 'manifest'), JSON.stringify(manifest));
  const parent = spawn(
    process.execPath,
    [
      ...['--input-type=module', '-e'],
      `import { readFileSync } from 'node:fs';
       import { unpack } from ${JSON.stringify(import.meta.resolve('./unpack.ts'))};
       const manifest = JSON.parse(readFileSync(${JSON.stringify(join(dir, 'manifest'))}, 'utf8'));
       await unpack({ artifact: ${JSON.stringify(artifact)}, manifest, into: ${JSON.stringify(into)}, as: ${JSON.stringify(NOBODY)} });`,
    ],
    { stdio: 'ignore' },
  );
  t.teardown(() => parent.kill('SIGKILL'));
  const begun = () => existsSync(join(into, names[0]!));
  while (!begun() && parent.exitCode === null) await new Promise(setImmediate);
  const [child] = standingIn(into);
  if (child === undefined) return t.fail('nobody was seen at work');
  t.match(readFileSync(`/proc/${child}/status`, 'utf8'), /^Uid:\s+65534\s+65534\s+65534\s+65534$/m);
  t.match(readFileSync(`/proc/${child}/status`, 'utf8'), /^Groups:\s*$/m);
  process.kill(child, 'SIGSTOP');
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  process.kill(child, 'SIGCONT');
  while (standingIn(into).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.notOk(existsSync(join(into, names.at(-1)!)), 'it did not go on to the end');
});

/** Processes whose working directory it is. */
function standingIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(directory);
      } catch {
        return false;
      }
    })
    .map(Number);
}
