/** The invariants that a record is held against, in the words that a report uses. */
export const INVARIANTS = {
  I1: 'after a host’s first success, `current` is a link to a release that is there',
  I2: 'a release on a disk is, file by file, what its manifest says',
  I3: 'a release does not change after its first activation',
  I4: 'never more hosts hidden by fleet than allowed, never fewer visible',
  I5: 'a hidden host has an open record that names the deployment',
  I6: 'hidden, then activated, then smoke tested, then shown again',
  I7: 'two deployments of a service do not overlap, and nothing happens outside of one',
  I9: 'a hook or once step runs once for each step, unless it is repeatable',
  I10: 'the recap, and the status later, say what is on the hosts',
  I11: 'exit 0 exactly where every targeted host is verified; no call outlasts its deadline',
  I12: 'what was acknowledged is still there',
  I13: 'the release before the current one is on the host, and a rollback works',
  I15: 'no setuid bit, device, pipe, socket or foreign owner under releases/',
  I17: 'nothing is left behind: staging, links, processes, descriptors, memory',
  I18: 'at rest all agents are connected, all deployments ended, all locks free',
  I19: 'users get answers, of a release that is active where they come from',
} as const;

export type InvariantId = keyof typeof INVARIANTS;

export interface Violation {
  id: InvariantId;
  /** Milliseconds of the record's clock. */
  at: number;
  what: string;
}
