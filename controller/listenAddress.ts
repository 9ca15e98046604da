/** Where the controller may listen. */
import { isIPv4 } from 'node:net';
import { FleetError } from '@fleet/protocol/errors.ts';

/** Throws `not_loopback`: nobody is asked who they are yet, so nobody from outside may ask. */
export function loopbackOnly(listen: string): { host: string; port: number } {
  const colon = listen.lastIndexOf(':');
  const host = listen.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(listen.slice(colon + 1));
  const loopback = host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
  if (!loopback) {
    throw new FleetError(
      'not_loopback',
      `refusing to listen on ${listen}: agents and people are not asked who they are yet`,
      {
        next: 'write listen: 127.0.0.1:7300 in controller.yaml; other hosts can join once enrolment is there',
      },
    );
  }
  return { host, port };
}
