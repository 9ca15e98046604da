/**
 * The secrets of controller.yaml: read where they come from at each use, and kept nowhere but in the memory that takes them
 * out of everything that is shown.
 */
import { createHmac } from 'node:crypto';
import type { ControllerConfig, SecretSource } from '@fleet/config/controller.ts';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { run } from '@fleet/process/run.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { readGuarded } from '@fleet/trust/guarded.ts';
import { checkSecret, type KnownSecrets } from '@fleet/trust/knownSecrets.ts';

/** As long as the value of a variable may be, in characters. */
const LONGEST = 4096;

export class Secrets {
  readonly #sources: ControllerConfig['secrets'];
  /** What nothing that is shown or kept may hold. */
  readonly known: KnownSecrets;
  readonly #fingerprintKey: string;
  /** What several hosts ask for at the same time is read once. */
  readonly #reading = new Map<string, Promise<string>>();

  /** `fingerprintKey`: of this fleet's database. */
  constructor(sources: ControllerConfig['secrets'], known: KnownSecrets, fingerprintKey: string) {
    this.#sources = sources;
    this.known = known;
    this.#fingerprintKey = fingerprintKey;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#sources, name);
  }

  /**
   * The present value. `whose` says for what it is wanted, like `DATABASE_URL of web on web-1`. Throws `missing_secret`,
   * `key_too_open`, `secret_refused`.
   */
  async read(name: string, whose: string): Promise<string> {
    const reading = this.#reading.get(name) ?? this.#begin(name);
    try {
      return await reading;
    } catch (thrown) {
      if (!(thrown instanceof FleetError)) throw thrown;
      const { code, message, next, data } = thrown;
      throw new FleetError(code, `${whose}: ${message}`, { next, data: { ...data, secret: name } });
    }
  }

  /** A value that is a secret although it stands in controller.yaml itself. Throws `secret_refused`. */
  keep(name: string, value: string): string {
    checkSecret(value, name);
    this.known.learn(name, value);
    return value;
  }

  /** The same for the same value, says nothing about it to whoever has not this fleet's database. */
  fingerprint(name: string, value: string): string {
    return createHmac('sha256', this.#fingerprintKey).update(`${name}\0${value}`).digest('hex').slice(0, 32);
  }

  #begin(name: string): Promise<string> {
    const reading = this.#value(name).finally(() => this.#reading.delete(name));
    this.#reading.set(name, reading);
    return reading;
  }

  async #value(name: string): Promise<string> {
    const source = Object.hasOwn(this.#sources, name) ? this.#sources[name] : undefined;
    if (source === undefined)
      throw missing(`there is no secret ${name}`, 'define it below `secrets` in controller.yaml');
    const value = (await valueFrom(name, source)).replace(/\r?\n$/, '');
    if (value.length > LONGEST || value.includes('\0'))
      throw new FleetError(
        'secret_refused',
        `the secret ${name} is no text of at most ${LONGEST} characters`,
        {
          next: 'give the service a file of its own for what is as large as that',
        },
      );
    return this.keep(name, value);
  }
}

async function valueFrom(name: string, source: SecretSource): Promise<string> {
  if ('environment' in source) return fromEnvironment(name, source.environment);
  if ('file' in source) return fromFile(name, source.file);
  return fromCommand(name, source.command, source.timeout);
}

function fromEnvironment(name: string, variable: string): string {
  const value = process.env[variable];
  if (value !== undefined && value !== '') return value;
  throw missing(
    `the secret ${name} comes from ${variable}, which the environment of the controller does not have`,
    `start the controller again with ${variable} in its environment`,
  );
}

function fromFile(name: string, path: string): string {
  let text: string | undefined;
  try {
    text = readGuarded(path);
  } catch (error) {
    if (error instanceof FleetError) throw error;
    throw missing(
      `the secret ${name} cannot be read from ${path}: ${(error as NodeJS.ErrnoException).code}`,
      'it must be a file that belongs to the user of the controller, with mode 600',
    );
  }
  if (text !== undefined) return text;
  throw missing(
    `the secret ${name} comes from ${path}, which is not there`,
    `write ${path}, with mode 600, or correct \`secrets\` in controller.yaml`,
  );
}

/** What the program complains about is left out: it may be about a part of the secret. */
const QUIETLY = ['sh', '-c', 'exec "$@" 2>/dev/null', 'sh'];

async function fromCommand(name: string, command: readonly string[], timeoutMs: number): Promise<string> {
  const { reason, code, output } = await run({
    argv: [...QUIETLY, ...command],
    cwd: '/',
    env: cleanEnvironment(),
    timeoutMs,
    graceMs: 1000,
    tailBytes: 8 * LONGEST,
  });
  if (reason === 'exited' && code === 0 && output.dropped === 0) return output.text;
  const how =
    reason === 'timeout'
      ? `did not end within ${timeoutMs / 1000}s`
      : code === 0
        ? 'printed too much'
        : `ended with ${code === null ? reason : `exit status ${code}`}`;
  throw missing(
    `the program ${command[0]}, which gives the secret ${name}, ${how}`,
    `run it by hand as the user of the controller: ${command.join(' ')}`,
  );
}

function missing(message: string, next: string): FleetError {
  return new FleetError('missing_secret', message, { next });
}
