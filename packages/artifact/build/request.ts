/** What a build is asked for, and what it answers. */

import type { Source } from '@fleet/config/controller.ts';
import type { Manifest } from '@fleet/protocol/manifest.ts';
import type { BuildUser } from './buildUser.ts';
import type { Room } from './room.ts';

/** What the store knows of an artifact, as far as a build needs it. */
export interface StoredArtifact {
  version: string;
  identity: string;
  sourceKey: string;
  artifactPath: string;
  manifestPath: string;
}

export interface BuildRequest {
  service: string;
  /** With paths that hold from everywhere. */
  source: Source;
  /** A branch, tag or commit; without it, the source's own. Not for a folder. */
  ref?: string | undefined;
  /** Without it the commit's tag, or its time and hash. */
  version?: string | undefined;
  /** The commit of what runs now: release notes begin after it. */
  since?: string | undefined;
  /** Folders, made when missing. `work` and `artifacts` are on one disk. */
  dirs: { git: string; work: string; artifacts: string; logs: string };
  /** Undefined where the repository's commands run as the controller's own user. */
  buildUser?: BuildUser | undefined;
  existing: {
    bySourceKey(sourceKey: string): Promise<StoredArtifact | undefined>;
    byVersion(service: string, version: string): Promise<StoredArtifact | undefined>;
  };
  /** A line for whoever watches. */
  note(text: string): void;
  signal: AbortSignal;
}

export interface Built {
  manifest: Manifest;
  artifactPath: string;
  manifestPath: string;
  /** The same for the same source on the same platform. */
  sourceKey: string;
  /** False where an artifact of the same source existed, and nothing was run. */
  built: boolean;
  /** Subjects of the commits since `since`, newest first, at most 100. */
  notes: string[];
  /** Everything that the build printed; null where nothing was run. */
  log: string | null;
}

/** The folder in which one build happens. It is gone afterwards. */
export interface Job {
  dir: string;
  /** Where the tree and what is made of it lie. */
  room: Room;
  log: string;
}
