/**
 * The moments of a deployment at which it must be possible to die. Each is passed by one line of the product, which tells a
 * diagnostics channel of it and nothing else: whoever wants to know, or to kill the process just there, is loaded from outside.
 * Subscribers run in the very call, so that nothing happens between the telling and what they do.
 */
import { channel } from 'node:diagnostics_channel';

/** `fleet:point` carries a `Passage` each time. */
export const CHANNEL = 'fleet:point';

export const POINTS = [
  /** The deployment's row and its lock, one transaction. */
  'controller.lock',
  'controller.plan',
  'controller.build_start',
  /** The packed artifact is moved to its place on the shelf. */
  'controller.artifact_stored',
  /** Nothing signs a manifest yet: this is its own move to the shelf, after which the version is what hosts are given. */
  'controller.manifest_signed',
  /** Inside the transaction that also ends the step. */
  'controller.rollback_point',
  'controller.hide_asked',
  'controller.hide_confirmed',
  /** The host is asked how much of the version it has. */
  'controller.transfer_begin',
  /** The host has acknowledged one more chunk. */
  'controller.mid_transfer',
  /** The host has all, and is asked to make a release of it. */
  'controller.transfer_acked',
  /** After: asked, and not yet answered. */
  'controller.activate_sent',
  'controller.activate_acked',
  'controller.smoke_begin',
  'controller.smoke_result',
  'controller.unhide_asked',
  /** The balancer reports the host up; the note that fleet hides it is taken away. */
  'controller.unhide_confirmed',
  /** What the host itself says at the end is stored. */
  'controller.host_result',
  'controller.recap',
  /** The final state and the free lock, one transaction. */
  'controller.lock_end',

  'agent.command_journaled',
  /** The files that the streams of a version are written to. */
  'agent.staging_made',
  'agent.chunk_written',
  /** A stream’s digest is the one that was offered, and it is on the disk. */
  'agent.digest_ok',
  'agent.unpacked',
  /** The tree was compared with its manifest by the unpacking; here it is written down how its files look, and links are made. */
  'agent.tree_ok',
  /** What the agent knows about the version is on the disk too. */
  'agent.synced',
  'agent.moved_to_releases',
  /** Any hook, while the journal has it as begun. */
  'agent.pre_hook',
  'agent.temp_link',
  'agent.rename',
  'agent.directory_sync',
  /** The supervisor starts the program: it does what elsewhere a restart hook does. */
  'agent.restart_hook',
  'agent.local_smoke',
  'agent.result_journaled',
  /** Answers have no acknowledgement of their own: before, the link does not have it; after, it is on its way. */
  'agent.result_acked',
  'agent.prune',
] as const;
export type Point = (typeof POINTS)[number];

export interface Passage {
  point: Point;
  phase: 'before' | 'after';
}

const told = channel(CHANNEL);

/** Does the work. What throws has not passed: `after` is not told of it. */
export async function passing<T>(point: Point, work: () => T | Promise<T>): Promise<T> {
  told.publish({ point, phase: 'before' } satisfies Passage);
  const result = await work();
  told.publish({ point, phase: 'after' } satisfies Passage);
  return result;
}
