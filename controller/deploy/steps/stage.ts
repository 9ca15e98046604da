/** Bring a version to the host, whole and verified. Nothing that a request could notice is touched. */
import { randomUUID } from 'node:crypto';
import { passing } from '@fleet/process/points.ts';
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';
import { streamName } from '@fleet/protocol/messages/release.ts';
import type { StepContext, StepDriver } from '../context.ts';
import { whenPresent } from '../presence.ts';
import type { ReleaseFiles } from '../releaseFiles.ts';

const TRIES = 3;
/** Worth another try: the transfer goes on from where it was. */
const PASSING = new Set(['transfer_failed', 'link_lost']);

export const stage: StepDriver<'stage'> = {
  kind: 'stage',
  async perform(context) {
    await present(context);
    const release = await context.release(context.args.version);
    for (let attempt = 1; ; attempt++) {
      try {
        return await transfer(context, release);
      } catch (error) {
        if (attempt === TRIES || !PASSING.has(asFleetError(error).code)) throw error;
      }
    }
  },
};

/** A host that is not there, or was not when its way back was looked for, ends the deployment before anything is touched. */
async function present({ deps, facts }: StepContext<'stage'>): Promise<void> {
  await whenPresent(deps, facts.host);
  if (facts.reached) return;
  throw new FleetError('unreachable', `${facts.host} did not answer when the deployment was planned`, {
    next: `it is there now: deploy again`,
  });
}

async function transfer(context: StepContext<'stage'>, release: ReleaseFiles) {
  const { record, manifest } = release;
  const { service, version, identity } = manifest;
  const started = context.deps.clock.now();
  // Not a repeated command: each offer asks anew how much is there.
  const command = () => context.command(randomUUID());
  const offered = {
    service,
    version,
    identity,
    manifest: { size: release.manifestSize, sha256: release.manifestSha256 },
    artifact: manifest.artifact,
    unpacked: release.unpacked,
    ...(record.signature && { signed: record.signature }),
  };
  const offer = await passing('controller.transfer_begin', () =>
    context.ask('release.offer', { ...offered, command: command() }, { timeoutMs: 120_000 }),
  );
  if (offer.state === 'present')
    return { outcome: 'ok' as const, message: `${version} is there already, verified` };

  const total = release.manifestSize + manifest.artifact.size;
  const send = (part: 'manifest' | 'artifact', path: string, from: number, size: number, before: number) =>
    context.deps.agents.send(context.facts.host, {
      name: streamName(service, version, part),
      path,
      from,
      size,
      signal: context.signal,
      onProgress: (done) =>
        void passing('controller.mid_transfer', () => context.progress(before + done, total, 'bytes')),
    });
  await send('manifest', record.manifestPath, offer.manifestFrom, release.manifestSize, 0);
  await send(
    'artifact',
    record.artifactPath,
    offer.artifactFrom,
    manifest.artifact.size,
    release.manifestSize,
  );
  const commit = { command: command(), service, version, identity };
  const { files } = await passing('controller.transfer_acked', () =>
    context.ask('release.commit', commit, { timeoutMs: 600_000 }),
  );
  const sent = total - offer.manifestFrom - offer.artifactFrom;
  const seconds = (context.deps.clock.now() - started) / 1000;
  return {
    outcome: 'changed' as const,
    message: `${version} staged: ${files} files, ${megabytes(sent)} sent in ${seconds.toFixed(1)}s`,
  };
}

function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
