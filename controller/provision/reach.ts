/** A connection to a host over SSH, with the operator's own means. The host's key is looked at before anything else is said. */
import { existsSync, readFileSync } from 'node:fs';
import { FleetError } from '@fleet/protocol/errors.ts';
import { NodeSSH, type Config as SshConfig } from 'node-ssh';
import { type Connection, connectionOver, type Target } from './connection.ts';
import { admitKey, preferredTypes } from './hostKey.ts';
import type { KnownHosts } from './knownHosts.ts';
import { Patience } from './patience.ts';
import type { Person } from './person.ts';

type AuthHandler = Extract<NonNullable<SshConfig['authHandler']>, (...all: never[]) => unknown>;
type Next = Parameters<AuthHandler>[2];
type Way = Exclude<Parameters<Next>[0], string>;

export interface Means {
  known: KnownHosts;
  /** Where a key that becomes known would be written. */
  knownFile: string;
  /** By the name of a host. */
  fingerprints: ReadonlyMap<string, string>;
  /** A private key, read and opened; undefined where none was named. */
  key: OpenedKey | undefined;
  /** The socket of an agent, forwarded or not. */
  agent: string | undefined;
  person: Person;
}
export interface OpenedKey {
  text: string;
  passphrase: string | undefined;
}

/** For the host to answer; the time that a person takes to compare and type is not counted. */
const ANSWER_MS = 20_000;
/** A link that says nothing for three of these is lost. */
const KEEPALIVE_MS = 5_000;

/** Throws `host_key_unknown`, `host_key_changed`, `ssh_refused`, `ssh_unreachable`. */
export async function reach(target: Target, means: Means): Promise<Connection> {
  const { host, address, port, user } = target;
  const { known, fingerprints, knownFile: file } = means;
  const ssh = new NodeSSH();
  const patience = new Patience(ANSWER_MS, () => ssh.connection?.destroy());
  const person = patience.with(means.person);
  let refused: unknown;
  const config: SshConfig = {
    host: address,
    port,
    username: user,
    // Ours counts.
    readyTimeout: 0,
    keepaliveInterval: KEEPALIVE_MS,
    keepaliveCountMax: 3,
    algorithms: { serverHostKey: preferredTypes(known.of(address, port)) },
    hostVerifier: (key: Buffer, admit: (good: boolean) => void) => {
      admitKey(key, { ...target, known, person, fingerprint: fingerprints.get(host), file }).then(
        () => admit(true),
        (error: unknown) => {
          refused = error;
          admit(false);
        },
      );
    },
    authHandler: ways(target, { ...means, person }),
  };
  patience.begin();
  try {
    await ssh.connect(config);
  } catch (error) {
    ssh.connection?.end();
    throw refused ?? explain(target, patience.ran ? patience.late() : error);
  } finally {
    patience.end();
  }
  // Small words go at once, and are not kept until more comes.
  ssh.connection?.setNoDelay(true);
  return connectionOver(ssh, target);
}

/** What is there, one after the other: a key that was named, the agent, then a password that is asked for. */
function ways({ host, user: username }: Target, { agent, key, person }: Means): AuthHandler {
  const keys: Way[] = [
    ...(key
      ? [{ type: 'publickey' as const, username, key: key.text, passphrase: key.passphrase ?? '' }]
      : []),
    ...(agent ? [{ type: 'agent' as const, username, agent }] : []),
  ];
  let asked = false;
  return (left: readonly string[] | null, _partial, next) => {
    // Asked with nothing, a host says what it takes: a password is not asked for in vain.
    if (left === null) return next({ type: 'none', username });
    const way = left.includes('publickey') ? keys.shift() : undefined;
    if (way !== undefined) return next(way);
    const kind = (['password', 'keyboard-interactive'] as const).find((each) => left.includes(each));
    if (asked || kind === undefined) return giveUp(next);
    asked = true;
    person.askSecret(`${host}: password of ${username}: `).then(
      (password) => {
        if (password === undefined) return giveUp(next);
        if (kind === 'password') return next({ type: kind, username, password });
        return next({
          type: kind,
          username,
          prompt: (_name, _say, _language, prompts, answer) => answer(prompts.map(() => password)),
        });
      },
      () => giveUp(next),
    );
  };
}

/** The library's own word for it is not in its types. */
function giveUp(next: Next): void {
  next(false as never);
}

function explain({ host, address, port, user }: Target, error: unknown): FleetError {
  const message = error instanceof Error ? error.message : String(error);
  const level = error instanceof Error && 'level' in error ? String(error.level) : '';
  const where = `${user}@${address}${port === 22 ? '' : `:${port}`}`;
  if (level === 'client-authentication')
    return new FleetError('ssh_refused', `${host}: ${where} lets nobody in with what was shown`, {
      next: `try it by hand: ssh -p ${port} ${user}@${address}; then again with --key FILE, with an agent (ssh-add), or at a terminal with a password`,
      data: { host },
      cause: error,
    });
  if (level === 'agent')
    return new FleetError(
      'ssh_refused',
      `${host}: the SSH agent of SSH_AUTH_SOCK does not answer: ${message}`,
      {
        next: 'ssh-add -l shows whether it is there; or again with --key FILE',
        data: { host },
        cause: error,
      },
    );
  return new FleetError('ssh_unreachable', `${host}: no SSH at ${address}, port ${port}: ${message}`, {
    next: `is it up, and is this its address? ${host}=ADDRESS names another one, --port another port`,
    data: { host },
    cause: error,
  });
}

/** The operator's own key file. Throws `bad_request` where it cannot be read or opened. */
export async function openKey(file: string, person: Person): Promise<OpenedKey> {
  if (!existsSync(file))
    throw new FleetError('bad_request', `there is no key ${file}`, {
      next: 'name another one with --key FILE',
    });
  const text = readFileSync(file, 'utf8');
  if (!isEncrypted(text)) return { text, passphrase: undefined };
  const passphrase = await person.askSecret(`passphrase of ${file}: `);
  if (passphrase !== undefined) return { text, passphrase };
  throw new FleetError('bad_request', `${file} has a passphrase, and there is no terminal to ask for it`, {
    next: `load it into an agent: ssh-add ${file}`,
  });
}

/** In OpenSSH's own form the cipher's name follows the magic word; older ones say it in a header. */
function isEncrypted(text: string): boolean {
  if (/^Proc-Type: 4,ENCRYPTED|BEGIN ENCRYPTED PRIVATE KEY/m.test(text)) return true;
  const [, body] = /BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(text) ?? [];
  if (body === undefined) return false;
  const bytes = Buffer.from(body, 'base64');
  const magic = 'openssh-key-v1\0'.length;
  const length = bytes.readUInt32BE(magic);
  return bytes.subarray(magic + 4, magic + 4 + length).toString() !== 'none';
}
