/** Bringing a release to a host and making it the current one. */
import { z } from 'zod';
import { compression } from '../manifest.ts';
import { signedRelease } from '../trust.ts';
import { digest, serviceName, versionName } from '../words.ts';
import { command } from './command.ts';

/** Sizes in bytes. The two streams that follow are named by `streamName`. */
const carried = z.strictObject({ size: z.int().min(0), sha256: digest });

export const offer = {
  request: z.strictObject({
    command,
    service: serviceName,
    version: versionName,
    identity: digest,
    manifest: carried,
    artifact: carried.extend({ compression }),
    /** Bytes that the release takes unpacked: the agent asks its disk before it takes a byte. */
    unpacked: z.int().min(0),
    /** Over the manifest's digest. Absent in development alone, where agents have no root key to ask for it. */
    signed: signedRelease.optional(),
  }),
  /** `present`: on disk and just verified. `wanted`: send both streams from these offsets, then commit. */
  reply: z.discriminatedUnion('state', [
    z.strictObject({ state: z.literal('present') }),
    z.strictObject({
      state: z.literal('wanted'),
      manifestFrom: z.int().min(0),
      artifactFrom: z.int().min(0),
    }),
  ]),
};

export const commit = {
  request: z.strictObject({ command, service: serviceName, version: versionName, identity: digest }),
  reply: z.strictObject({ files: z.int(), bytes: z.int() }),
};

export const activate = {
  request: z.strictObject({ command, service: serviceName, version: versionName, identity: digest }),
  /** `from`: what `current` named before, null on a host that never had one. */
  reply: z.strictObject({ from: versionName.nullable(), changed: z.boolean(), switchMs: z.number() }),
};

export const prune = {
  request: z.strictObject({
    command,
    service: serviceName,
    keep: z.int().min(2),
    protect: z.array(versionName),
  }),
  reply: z.strictObject({ removed: z.array(versionName) }),
};

export type StreamPart = 'manifest' | 'artifact';
export function streamName(service: string, version: string, part: StreamPart): string {
  return `release/${service}/${version}/${part}`;
}
export function parseStreamName(
  name: string,
): { service: string; version: string; part: StreamPart } | undefined {
  const [family, service, version, part, extra] = name.split('/');
  if (family !== 'release' || extra !== undefined || (part !== 'manifest' && part !== 'artifact'))
    return undefined;
  if (!serviceName.safeParse(service).success || !versionName.safeParse(version).success) return undefined;
  return { service: service!, version: version!, part };
}
