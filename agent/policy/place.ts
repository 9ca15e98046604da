/** A folder that nobody but the agent and root can put something into, or put something in the place of. */
import { lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FleetError } from '@fleet/protocol/errors.ts';

const STICKY = 0o1000;

/** `what`: its name in agent.yaml. Throws `bad_config`, naming the folder that somebody else could change. */
export async function requireOwnPlace(what: string, path: string): Promise<void> {
  const place = await realpath(path);
  for (let at = place; ; at = dirname(at)) {
    const { mode, uid, gid } = await lstat(at);
    const others = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0 && gid !== process.getgid?.());
    // In a sticky folder, such as /tmp, nobody can move what is not theirs; but anybody can add to it.
    const held = at !== place && (mode & STICKY) !== 0;
    if (uid !== 0 && uid !== process.getuid?.())
      throw refused(what, at, `belongs to user ${uid}`, 'chown root');
    if (others && !held)
      throw refused(what, at, `may be written by others (mode ${(mode & 0o7777).toString(8)})`, 'chmod go-w');
    if (at === dirname(at)) return;
  }
}

function refused(what: string, path: string, why: string, mend: string): FleetError {
  return new FleetError(
    'bad_config',
    `${what}: ${path} ${why}, who could put something in the place of what the agent runs`,
    { next: `${mend} ${path}, or name another folder in agent.yaml.` },
  );
}
