/** Fleet's own programs, which a host runs beside its services: the agent, and the Node that it runs on. */
import { z } from 'zod';
import { signedRelease } from '../trust.ts';
import { digest, ownService, versionName } from '../words.ts';

/** The parts of a release, each as its bytes lie on the shelf; `signature` is JSON, a `SignedRelease`. */
export const part = z.enum(['manifest', 'artifact', 'signature']);
export type ProgramPart = z.infer<typeof part>;

export const program = z.strictObject({
  service: ownService,
  version: versionName,
  identity: digest,
  /** `linux-x64`, `linux-arm64`; `linux` where it runs on both. */
  platform: z.string(),
  /** Bytes of the compressed artifact. */
  size: z.int(),
  /** Null in development, and where another machine signs and has not signed it yet. */
  signed: signedRelease.nullable(),
});
export type Program = z.infer<typeof program>;

/** What lies in the programs folder: what a new host gets, and an old one is brought to. One agent, one Node a platform. */
export const list = { reply: z.array(program) };

/** Bytes as they come, with how many they are. */
export interface Download {
  size: number;
  content: AsyncIterable<Uint8Array>;
}
export const fetch = {
  params: z.strictObject({ service: ownService, version: versionName, part }),
  gives: 'application/octet-stream',
  reply: z.custom<Download>(),
};
