/** Bad names in every text of the configuration files, as git refs and repositories, and as paths in a release. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directory, file, link, tar, whole } from '@fleet/artifact/blocks.fixture.ts';
import { updateMirror } from '@fleet/artifact/build/mirror.ts';
import { resolveRef } from '@fleet/artifact/build/refs.ts';
import { makeArtifact } from '@fleet/artifact/hostile.fixture.ts';
import { decodeManifest, encodeManifest } from '@fleet/artifact/manifest.ts';
import { unpack } from '@fleet/artifact/unpack.ts';
import { agentConfig } from '@fleet/config/agent.ts';
import { controllerConfig } from '@fleet/config/controller.ts';
import { inspectText } from '@fleet/config/load.ts';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { service } from '@fleet/protocol/service.ts';
import type { z } from 'zod';
import type { Part } from '../part.ts';
import { changesBetween, survey } from '../survey.ts';
import { MARKER } from './badNames.ts';
import { namePath, sampleOf, textsOf, withText } from './fields.ts';

const FILES: Record<string, { schema: z.ZodType; known: Record<string, unknown> }> = {
  'controller.yaml': { schema: controllerConfig, known: {} },
  'agent.yaml': { schema: agentConfig, known: { host: 'web-1' } },
  'fleet.yaml': {
    schema: service,
    known: { service: 'web', run: { supervisor: 'process', command: ['true'] } },
  },
};

/** Each is refused with a line and a column, or is the text that it is. */
export async function badNamesInConfiguration(part: Part, names: readonly string[]): Promise<void> {
  for (const [name, { schema, known }] of Object.entries(FILES))
    for (const path of textsOf(schema))
      for (const bad of names) {
        const written = JSON.stringify(withText(sampleOf(schema, known), path, bad));
        try {
          const { problems } = inspectText(written, schema, name);
          part.count(problems.length > 0 ? 'refused' : 'taken as text');
        } catch (error) {
          part.count(asFleetError(error).code);
          if (asFleetError(error).code === 'internal')
            part.fault(`${name} ${namePath(path)} = ${JSON.stringify(bad)}: ${String(error)}`);
        }
      }
  if (Object.keys(Object.prototype).length > 0) part.fault('Object.prototype has got something');
}

/** As a ref of a repository, and as the repository itself. */
export async function badNamesToGit(part: Part, names: readonly string[]): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-hostile-git-'));
  const marker = join(dir, MARKER);
  try {
    const source = join(dir, 'source');
    mkdirSync(source);
    const git = (...argv: string[]) =>
      execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.com', ...argv], {
        cwd: source,
        stdio: 'ignore',
      });
    git('init', '-b', 'main');
    writeFileSync(join(source, 'a'), 'a');
    git('add', '.');
    git('commit', '-m', 'a');
    const signal = new AbortController().signal;
    const mirror = { dir: join(dir, 'mirror.git'), url: source, signal };
    await updateMirror(mirror);
    const before = survey(dir);
    for (const bad of names) {
      const marked = bad.replaceAll(MARKER, marker);
      const refused = await resolveRef(mirror, marked).then(
        () => 'resolved',
        (error: unknown) => asFleetError(error).code,
      );
      part.count(`ref: ${refused}`);
      if (refused !== 'unknown_ref') part.fault(`the ref ${JSON.stringify(bad)}: ${refused}`);
      // What names another machine, or this file system, is a repository like any other; it is not gone to here.
      if (
        /^(https?|ssh|git|file):|^[\w.@-]+:|^[/~.]|\0/i.test(marked) &&
        !/^(ext|fd|file:x|transport|host|git@|-)/.test(marked)
      )
        continue;
      const fetched = await updateMirror({ ...mirror, dir: join(dir, 'other.git'), url: marked }).then(
        () => 'fetched',
        (error: unknown) => asFleetError(error).code,
      );
      part.count(`repository: ${fetched}`);
      if (fetched === 'fetched') part.fault(`the repository ${JSON.stringify(bad)} was fetched`);
    }
    for (const change of changesBetween(before, survey(dir))) part.fault(`git: ${change}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** As the path of a file, of a directory and as a link’s target: refused by the manifest’s reader, or exactly that name below the release. */
export async function badNamesInReleases(part: Part, names: readonly string[]): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'fleet-hostile-paths-'));
  try {
    for (const [number, bad] of names.entries())
      for (const [kind, files] of [
        ['file', [file(bad)]],
        ['directory', [directory(bad)]],
        ['target', [link('a', bad)]],
      ] as const) {
        const { bytes, manifest } = makeArtifact(
          { tar: tar(...files.map((entry) => whole(entry))), files: [...files] },
          { service: 'web', version: '1', sealed: {} },
        );
        const place = join(dir, `${number}-${kind}`);
        mkdirSync(place);
        const artifact = join(place, 'artifact');
        writeFileSync(artifact, bytes);
        const before = survey(dir);
        const ended = await Promise.try(async () => {
          await unpack({
            artifact,
            manifest: decodeManifest(encodeManifest(manifest)),
            into: join(place, 'into'),
          });
          return 'unpacked';
        }).catch((error: unknown) => asFleetError(error).code);
        part.count(`${kind}: ${ended}`);
        if (ended !== 'unpacked' && ended !== 'bad_archive')
          part.fault(`${kind} ${JSON.stringify(bad)}: ${ended}`);
        if (
          ended === 'unpacked' &&
          kind === 'file' &&
          readFileSync(join(place, 'into', bad), 'utf8') !== 'hello\n'
        )
          part.fault(`${JSON.stringify(bad)} is not what it should be`);
        const inside = `${number}-${kind}/into`;
        const outside = changesBetween(before, survey(dir)).filter(
          (change) => !change.startsWith(`${inside}/`) && !change.startsWith(`${inside} is new`),
        );
        for (const change of outside) part.fault(`${kind} ${JSON.stringify(bad)}: ${change}`);
      }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
