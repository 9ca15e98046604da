/** What a program that fleet starts finds in its environment: the same on every host, and nothing of fleet's own. */
import { homedir } from 'node:os';
import { dirname, isAbsolute } from 'node:path';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * This Node's directory comes first, so that a service written for Node finds one where none is installed. It is the one by which it
 * was started: where that is a link, as to the release of Node that is current, it still leads somewhere when the release has gone.
 */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const zone: Record<string, string> = process.env.TZ === undefined ? {} : { TZ: process.env.TZ };
  return {
    PATH: `${dirname(isAbsolute(process.argv0) ? process.argv0 : process.execPath)}:${PATH}`,
    HOME: homedir(),
    LANG: 'C.UTF-8',
    ...zone,
    ...extra,
  };
}
