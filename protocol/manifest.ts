/**
 * The manifest: what a version is. Its identity is the digest of the files and the sealed fleet.yaml; the compressed bytes
 * that carry it may differ between library versions, the identity may not.
 */
import { z } from 'zod';
import { digest, serviceName, versionName } from './words.ts';

/** A path inside a release: relative, '/'-separated, no empty, `.` or `..` part, no control character. */
export const releasePath = z
  .string()
  .min(1)
  .max(1024)
  .regex(
    /^(?!\/)(?![\s\S]*(^|\/)(\.{1,2})?(\/|$))[^\u0000-\u001f\u007f]+$/,
    'a relative path without . or .. parts',
  );

export const entry = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('file'),
    path: releasePath,
    mode: z.union([z.literal(0o644), z.literal(0o755)]),
    size: z.int().min(0),
    sha256: digest,
  }),
  z.strictObject({ type: z.literal('directory'), path: releasePath }),
  z.strictObject({ type: z.literal('link'), path: releasePath, target: z.string().min(1).max(1024) }),
]);
export type Entry = z.infer<typeof entry>;

export const compression = z.enum(['zstd', 'gzip']);
export type Compression = z.infer<typeof compression>;

export const manifest = z.strictObject({
  format: z.literal(1),
  service: serviceName,
  version: versionName,
  /** sha256 over files and sealed configuration: see packages/artifact/identity.ts. */
  identity: digest,
  source: z.strictObject({
    kind: z.enum(['git', 'directory']),
    /** What was asked for: a branch, tag or commit; for a directory, its path. */
    ref: z.string(),
    commit: z.string().optional(),
  }),
  /** `linux-x64`, `linux-arm64`: where it was built, and so where it runs. */
  platform: z.string(),
  /** fleet.yaml as it was parsed, before defaults: what `service` in service.ts decodes. */
  sealed: z.unknown(),
  /** Sorted by path. */
  files: z.array(entry),
  artifact: z.strictObject({ sha256: digest, size: z.int().min(0), compression }),
});
export type Manifest = z.infer<typeof manifest>;
