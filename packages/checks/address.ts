import { substitute } from '@fleet/protocol/service.ts';
import type { Answer, CheckContext } from './check.ts';

/** The port that a check names, or why there is none. */
export function portOf(port: number | string, values: CheckContext['values']): number | Answer {
  const given = typeof port === 'number' ? String(port) : substitute(port, values);
  const number = /^\d{1,5}$/.test(given) ? Number(given) : 0;
  if (number >= 1 && number <= 65535) return number;
  return { passed: false, detail: `${port} is ${JSON.stringify(given)}, which is not a port` };
}

/** What a person reads of an error of a socket. */
export function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code && WHY[code]) || message || code || String(error);
}
const WHY: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was broken off',
  ENOTFOUND: 'there is no such host',
  EHOSTUNREACH: 'there is no way to this host',
};
