/** What a program that fleet starts finds in its environment: the same on every host, and nothing of fleet's own. */
import { homedir } from 'node:os';
import { dirname } from 'node:path';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** This Node's directory comes first, so that a service written for Node finds one where none is installed. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const zone: Record<string, string> = process.env.TZ === undefined ? {} : { TZ: process.env.TZ };
  return {
    PATH: `${dirname(process.execPath)}:${PATH}`,
    HOME: homedir(),
    LANG: 'C.UTF-8',
    ...zone,
    ...extra,
  };
}
