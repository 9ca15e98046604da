/** What a host lets be done on it: its own agent.yaml decides, and the agent tells it in its hello. */
import { z } from 'zod';

/**
 * As the agent applies it, defaults filled in. For people, and to refuse early: whatever is made of it here, the agent enforces its own.
 */
export const toldPolicy = z.object({
  /** The agent's own user. */
  user: z.string().max(64),
  /** Releases go below it, and nowhere else. */
  root: z.string().max(4096),
  /** Patterns: see `fits`. */
  services: z.array(z.string().max(64)).max(256),
  /** By service, `*` for all others: a user's name, or `self`. */
  runAs: z.record(z.string().max(64), z.string().max(64)),
  rootHooks: z.boolean(),
  /** Whether its agent may be replaced. An older agent does not say. */
  upgrades: z.boolean().optional(),
  /** Patterns of the values that each label may have; a label that is not here may have any. */
  labels: z.record(z.string().max(64), z.array(z.string().max(128)).max(256)),
});
export type ToldPolicy = z.infer<typeof toldPolicy>;

/** In a pattern, `*` stands for any characters. */
export function fits(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => {
    const [begin = '', ...rest] = pattern.split('*');
    const end = rest.pop();
    if (end === undefined) return name === pattern;
    if (!name.startsWith(begin)) return false;
    let at = begin.length;
    for (const piece of rest) {
      const found = name.indexOf(piece, at);
      if (found === -1) return false;
      at = found + piece.length;
    }
    return name.length - at >= end.length && name.endsWith(end);
  });
}
