/** What a controller may do besides what its user may: run builds as the user that they have, and nothing as root. */
import { besidesCommands, SUDO_USER } from './sudoers.ts';

export const BUILD_SUDOERS = '/etc/sudoers.d/fleet-controller';

/** The whole file, to be 0440 and root's; `visudo -c` must find it well before it counts. Throws for a name that could mean more than itself. */
export function buildSudoers(controller: string, builder: string): string {
  for (const name of [controller, builder])
    if (!SUDO_USER.test(name) || name === 'root')
      throw new Error(`no rule is made for ${JSON.stringify(name)}`);
  return `# Made by fleet: its controller runs builds as ${builder}, who can read none of its keys.
${besidesCommands(controller)}
Defaults>${builder} !secure_path, !env_delete, !env_check
${controller} ALL=(${builder}) NOPASSWD:SETENV: ALL
`;
}
