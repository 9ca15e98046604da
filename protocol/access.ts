/**
 * Who may ask for what. Every route and every message names one of these beside its form; what is in no table is refused.
 */

/** What a person or a program may do, each role all that the ones before it may. */
export const ROLES = ['viewer', 'deployer', 'approver', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/**
 * A role: whoever shows a token with it, or a higher one. `key`: whoever shows the very secret that the request is about, such as a
 * join token, or signs with a key that is known. There is nothing that anybody may.
 */
export type Access = Role | 'key';

/** Who may send a message over an agent's link: its two ends, each by its certificate. */
export type End = 'controller' | 'agent';

export function mayAct(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
