/** The text of `fleet --help`. It loads nothing: it has to be there at once. */
import { VERBS } from './verbs.ts';

export function overview(): string {
  const groups = Object.entries(VERBS).map(([title, verbs]) =>
    [`${title}:`, ...verbs.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`)].join('\n'),
  );
  return `Usage: fleet VERB [options]

Deploys services to your own servers, one host at a time.

${groups.join('\n\n')}

Options:
  -h, --help    this text; \`fleet VERB --help\` has each verb's options and examples
  -V, --version

Examples:
  $ fleet deploy segmenter --serial
  $ fleet rollback segmenter -e production

The controller is found at --controller URL or FLEET_CONTROLLER, else where \`fleet login\` was, else at http://127.0.0.1:7300.

Exit status:
  0    done: every host verified on the version, every check passed
  1    something failed, was unreachable or is unknown
  2    wrong use or configuration
  3    refused by a gate or a lock, nothing changed
  4    the controller does not answer
  5    failed, and every host is verified running what it ran before
  130  stopped watching; the deployment goes on`;
}
