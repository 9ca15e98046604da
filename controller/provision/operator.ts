/** Whoever runs `fleet hosts add`: their terminal, what they log in with, what they let be run on their own machine. */
import type { Channel } from '@fleet/cli/print/channel.ts';
import { oneLine } from '@fleet/cli/print/escape.ts';
import { quoted } from './connection.ts';
import { type Flags, knownHostsFiles } from './flags.ts';
import { readKnownHosts } from './knownHosts.ts';
import { personAt } from './person.ts';
import { type Means, openKey } from './reach.ts';

export interface Operator {
  means: Means;
  stopped: AbortSignal;
  /** Asked once, for all hosts; undefined without --ask-sudo, or without a terminal. */
  sudoPassword(): Promise<string | undefined>;
  /** A command that comes from the controller runs on this machine only where somebody has said so. */
  admitHook(host: string, argv: readonly string[]): Promise<boolean>;
}

/** Throws `bad_request` for a key that cannot be opened. */
export async function openOperator(flags: Flags, channel: Channel, stopped: AbortSignal): Promise<Operator> {
  const person = personAt({
    stdin: process.stdin,
    stderr: process.stderr,
    print: (line) => channel.print(line),
    stopped,
  });
  const files = knownHostsFiles(flags);
  const key = flags.key === undefined ? undefined : await openKey(flags.key, person);
  let password: Promise<string | undefined> | undefined;
  return {
    means: {
      known: readKnownHosts(files),
      knownFile: files[0]!,
      fingerprints: flags.fingerprints,
      key,
      agent: process.env.SSH_AUTH_SOCK || undefined,
      person,
    },
    stopped,
    sudoPassword() {
      password ??= flags['ask-sudo']
        ? person.askSecret('password for sudo on the hosts: ')
        : Promise.resolve(undefined);
      return password;
    },
    async admitHook(host, argv) {
      if (flags.hooks) return true;
      const line = oneLine(argv.map(quoted).join(' '));
      const answer = await person.askText(
        `${host}: the profile runs this here, on your machine:\n    ${line}\nRun it? [y/N] `,
      );
      return /^y(es)?$/i.test(answer?.trim() ?? '');
    },
  };
}
