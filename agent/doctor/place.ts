/** What the agent lives by: its own file, and folders that are nobody else's. */
import { stat } from 'node:fs/promises';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { bad, type Finding, ok, warn } from '@fleet/protocol/finding.ts';
import type { AgentSettings } from '../config/config.ts';
import { requireOwnPlace } from '../policy/place.ts';

export async function lookAtPlaces(
  { root, data, file, joined }: AgentSettings,
  owner: number,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (file !== undefined) findings.push(await lookAtFile(file, owner));
  if (joined === undefined) return findings;
  for (const [what, path] of Object.entries({ root, data }))
    findings.push(
      await requireOwnPlace(what, path).then(
        () => ok(`folder ${what}`, `${path} is the agent’s own`),
        (error: unknown) => {
          const { message, next } = asFleetError(error);
          return bad(`folder ${what}`, message, next ?? `ls -ld ${path}`);
        },
      ),
    );
  return findings;
}

/** The policy is worth something where the agent cannot write it. */
async function lookAtFile(file: string, owner: number): Promise<Finding> {
  const { uid, mode } = await stat(file);
  if ((mode & 0o022) !== 0)
    return bad('configuration', `${file} may be written by others`, `chmod go-w ${file}`);
  if (owner !== 0 && uid === owner)
    return warn(
      'configuration',
      `${file} belongs to the agent’s own user, who can change it`,
      `chown root: ${file}`,
    );
  return ok('configuration', `${file} is read, and the agent cannot change it`);
}
