/** The fleet's own certificate authority. Whoever asks for a certificate keeps its key: only public halves come here. */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { type KeyPair, publicKeyFrom, publicText } from '@fleet/trust/keys.ts';
import { CONTROLLER_NAME } from '@fleet/trust/tls.ts';
import * as x509 from '@peculiar/x509';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A certificate holds from an hour before it is made, for hosts whose clocks are a little behind. */
const EARLIER_MS = 60 * 60 * 1000;
const CA_MS = 20 * 365 * DAY_MS;
export const CONTROLLER_MS = 90 * DAY_MS;
export const AGENT_MS = 7 * DAY_MS;

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const CA_NAME = 'CN=fleet';

export interface Authority {
  /** Its own certificate, as PEM. */
  pem: string;
  /** For the controller's both endpoints, under the one name that everybody verifies. PEM. */
  issueController(publicKey: string): Promise<string>;
  /** For the agent of `host`. PEM. */
  issueAgent(host: string, publicKey: string): Promise<string>;
}

/** PEM of a new authority's certificate, under its `name`. `now`: milliseconds since 1970. */
export async function makeAuthority(keys: KeyPair, now: number, name = CA_NAME): Promise<string> {
  const imported = await importPair(keys);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name,
    notBefore: new Date(now - EARLIER_MS),
    notAfter: new Date(now + CA_MS),
    signingAlgorithm: ALGORITHM,
    keys: imported,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(imported.publicKey),
    ],
  });
  return certificate.toString('pem');
}

/** `clock` gives milliseconds since 1970. */
export async function openAuthority(keys: KeyPair, pem: string, clock: () => number): Promise<Authority> {
  const { privateKey, publicKey } = await importPair(keys);
  const issuer = new x509.X509Certificate(pem);

  async function issue(to: {
    subject: string;
    publicKey: string;
    livesMs: number;
    more: x509.Extension[];
  }): Promise<string> {
    const now = clock();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: to.subject,
      issuer: issuer.subject,
      notBefore: new Date(now - EARLIER_MS),
      notAfter: new Date(now + to.livesMs),
      signingAlgorithm: ALGORITHM,
      signingKey: privateKey,
      publicKey: await importPublic(to.publicKey),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(publicKey),
        ...to.more,
      ],
    });
    return certificate.toString('pem');
  }

  return {
    pem,
    issueController: (ofKey) =>
      issue({
        subject: `CN=${CONTROLLER_NAME}`,
        publicKey: ofKey,
        livesMs: CONTROLLER_MS,
        more: [
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: CONTROLLER_NAME }]),
        ],
      }),
    issueAgent: (host, ofKey) =>
      issue({
        subject: `CN=${host}`,
        publicKey: ofKey,
        livesMs: AGENT_MS,
        more: [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
      }),
  };
}

/** Positive and never the same: 16 random bytes, of which the first bit is 0. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

async function importPair({ privateKey, publicKey }: KeyPair) {
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  return {
    privateKey: await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']),
    publicKey: await importPublic(publicText(publicKey)),
  };
}

/** Throws `bad_request` for what is no P-256 public key. */
async function importPublic(text: string) {
  const der = publicKeyFrom(text).export({ format: 'der', type: 'spki' });
  return webcrypto.subtle.importKey('spki', der, ALGORITHM, true, ['verify']);
}
