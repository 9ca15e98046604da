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

/** Which services and environments a token is good for. Null: all, also those that come. */
export interface Scope {
  services: string[] | null;
  environments: string[] | null;
}
export const EVERYWHERE: Scope = { services: null, environments: null };

/** Whether a scope takes in all of another one. */
export function reaches(scope: Scope, other: Scope): boolean {
  return takesIn(scope.services, other.services) && takesIn(scope.environments, other.environments);
}

function takesIn(names: Scope['services'], others: Scope['services']): boolean {
  return names === null || (others?.every((other) => names.includes(other)) ?? false);
}
