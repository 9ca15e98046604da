/** Where the controller may listen. */
import { isIPv4 } from 'node:net';
import { FleetError } from '@fleet/protocol/errors.ts';

export interface Address {
  host: string;
  port: number;
}

export function listenAddress(written: string): Address {
  const colon = written.lastIndexOf(':');
  return {
    host: written.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
    port: Number(written.slice(colon + 1)),
  };
}

/** Throws `not_loopback`: in development nobody is asked who they are, so nobody from outside may ask. */
export function loopbackOnly(written: string): Address {
  const address = listenAddress(written);
  const { host } = address;
  if (host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))) return address;
  throw new FleetError(
    'not_loopback',
    `refusing to listen on ${written} in development: agents and people are not asked who they are`,
    {
      next: 'take `development: true` out of controller.yaml and run fleet init controller; or listen on 127.0.0.1:7300, for this machine alone',
    },
  );
}

/** Where agents connect when nothing else is said: one port above people's, or any where that is any. */
export function nextPort({ host, port }: Address): Address {
  return { host, port: port === 0 ? 0 : port + 1 };
}
