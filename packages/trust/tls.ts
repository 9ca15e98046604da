/** How both ends of fleet speak TLS: version 1.3 alone, the fleet's own authority alone, and one name for the controller. */
import { X509Certificate } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

/** What the controller's certificate is for, and what everybody verifies, whatever address they dialled. */
export const CONTROLLER_NAME = 'controller.fleet.internal';
export const TLS_13 = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
} as const satisfies SecureContextOptions;

/** What a client needs to know the controller by, and to be known itself where it has a certificate. PEM. */
export interface ClientTls {
  ca: string;
  cert?: string;
  key?: string;
}

export function clientOptions({ ca, cert, key }: ClientTls) {
  return {
    ...TLS_13,
    ca,
    ...(cert !== undefined && key !== undefined && { cert, key }),
    servername: CONTROLLER_NAME,
    rejectUnauthorized: true,
  };
}

/** From when to when a certificate holds, in milliseconds since 1970. */
export function validity(pem: string): { from: number; to: number } {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  return { from: validFromDate.getTime(), to: validToDate.getTime() };
}
