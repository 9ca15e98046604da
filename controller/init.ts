/** `fleet init`: configuration to start from and, for a controller, the keys of its fleet. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { FileName } from '@fleet/config/files.ts';
import { template } from '@fleet/config/template.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { personName, serviceName } from '@fleet/protocol/words.ts';
import { writeJoinString } from '@fleet/trust/joinString.ts';
import { loginPath, writeLogin } from '@fleet/trust/login.ts';
import { type FleetConfig, loadConfig } from './config/config.ts';
import { lockData } from './dataLock.ts';
import { listenAddress } from './listenAddress.ts';
import { giveToken } from './people/people.ts';
import { createStore } from './store/store.ts';
import { openTrust } from './trust/folder.ts';
import { hasTrust, type Made, makeTrust } from './trust/make.ts';

const HELP = `Usage: fleet init [controller|service|agent] [--name SERVICE] [--config controller.yaml] [--login NAME]

Writes commented configuration to start from; without a word, all three files, to try it out in one folder. A file that is
there already stays as it is.

  service      fleet.yaml, in the service's repository: how it is built, run and checked
  controller   controller.yaml, beside the controller: services, environments, hosts, balancers
  agent        agent.yaml, on each host: where releases go, what may be done on it

For a controller it also makes, once, the keys of its fleet in the data directory that controller.yaml names, and the root key
beside it; and it logs in whoever runs it, with the role admin. docs/security.md says what each key is for.

      --name SERVICE  the service’s name in the files (default: my-service)
  -c, --config FILE   the controller’s configuration (default: controller.yaml)
      --login NAME    who runs it, as the history calls them (default: your user name). Where the keys are there already and
                      nobody can log in any more, it makes a new admin; the controller must be stopped

Examples:
  $ fleet init --name segmenter
  $ fleet init controller --config /etc/fleet/controller.yaml
  $ fleet init service --name segmenter

Exit status: 0 written, 2 wrong use, or there was nothing left to write
`;

type What = 'service' | 'controller' | 'agent';
const FILE_OF: Record<What, FileName> = {
  service: 'fleet.yaml',
  controller: 'controller.yaml',
  agent: 'agent.yaml',
};
const ALL = Object.keys(FILE_OF) as What[];
const isWhat = (word: string): word is What => Object.hasOwn(FILE_OF, word);

/** Throws `bad_request`, `bad_config`, `data_in_use`. */
export async function main(argv: string[]): Promise<void> {
  const { values, positionals } = readFlags(argv);
  if (values.help) return say(HELP.trimEnd());
  const [word, ...more] = positionals;
  if (more.length > 0 || (word !== undefined && !isWhat(word)))
    throw wrongUse(`${positionals.join(' ')}: name one of ${ALL.join(', ')}, or none for all`);
  const name = serviceName.safeParse(values.name);
  if (!name.success) throw wrongUse(`${values.name}: ${name.error.issues[0]?.message}`);
  const wanted = word === undefined ? ALL : [word];
  const written: What[] = [];
  for (const what of wanted) {
    const path = what === 'controller' ? values.config : FILE_OF[what];
    if (await writeNew(path, await template(FILE_OF[what], name.data))) {
      written.push(what);
      say(`wrote ${path}`);
    } else process.stderr.write(`${path} is there already, and stays as it is\n`);
  }
  const keys = wanted.includes('controller') && (await initKeys(values.config, values.login));
  if (written.length === 0 && !keys)
    throw new FleetError('bad_request', 'nothing was written', {
      next: 'fleet config check tells what is wrong with a file',
    });
  const config = values.config === 'controller.yaml' ? '' : ` --config ${values.config}`;
  const next = [
    ...(written.length > 0 ? ['fleet config check'] : []),
    ...(wanted.includes('controller') ? [`fleet controller${config || ' --config controller.yaml'}`] : []),
    ...(keys
      ? ['fleet token create --role web --environment production, for each host; it says how to go on']
      : []),
    ...(written.includes('service') ? [`fleet deploy ${name.data}`] : []),
  ];
  say(`next: ${written.length > 0 ? 'fill them in, then' : ''}`.trimEnd());
  for (const line of next) say(`  ${line}`);
}

/** False where there was nothing to make: in development, or where the keys are there and nobody asks for a login. */
async function initKeys(file: string, login: string | undefined): Promise<boolean> {
  const who = personName.safeParse(login ?? userNameOf(process.env));
  if (!who.success) throw wrongUse(`${login}: ${who.error.issues[0]?.message}`);
  const config = await loadConfig(file);
  if (config.development) {
    process.stderr.write(`${file} says development: no keys are made, and nobody is asked who they are\n`);
    return false;
  }
  if (hasTrust(config.data)) {
    process.stderr.write(`${config.data} has its keys already, and they stay as they are\n`);
    if (login === undefined) return false;
    const { authority, caKeyId, rootKeyId } = await openTrust(config.data, Date.now, config.file);
    await logIn(config, { ca: authority.pem, caKeyId, rootKeyId }, who.data);
    return true;
  }
  const made = await makeTrust(config.data, config.file, Date.now());
  say(`made this fleet’s keys in ${made.folder}`);
  say(
    '  Whoever owns the controller can sign releases, and so run code on every host (level L0, good to begin with).',
  );
  say('  To have another machine sign, such as CI, so that they cannot (level L1b): fleet keys --help');
  say(`made ${made.rootKey}`);
  say(
    '  It says who may sign. Take it offline now: move it to a disk in a drawer, and keep a copy. Nothing needs it',
  );
  say('  from day to day; without it, signing keys cannot be changed.');
  await logIn(config, made, who.data);
  return true;
}

/** Whoever runs it is this fleet's first person, or one more of its admins: the database is theirs to write anyway. */
async function logIn(
  config: FleetConfig,
  made: Pick<Made, 'ca' | 'caKeyId' | 'rootKeyId'>,
  who: string,
): Promise<void> {
  const unlock = lockData(config.data);
  const store = await createStore(join(config.data, 'fleet.sqlite'));
  try {
    const token = await giveToken(store.tokens, {
      name: who,
      role: 'admin',
      expires: null,
      by: 'fleet init',
    });
    await store.audit.append({
      who,
      from: 'this machine',
      what: 'init',
      outcome: 'done',
      details: { name: who },
    });
    const url = urlOf(config.listen);
    const path = loginPath(process.env);
    if (existsSync(path)) {
      process.stderr.write(
        `${path} is a login that is there already, and stays. To be ${who}, admin, of this one:\n`,
      );
      const login = { url, token, ca: made.caKeyId, root: made.rootKeyId };
      say(`  fleet login '${writeJoinString(login)}'`);
    } else {
      writeLogin(path, { url, token, ca: made.ca, root: made.rootKeyId });
      say(`logged in at ${url} as ${who}, admin: ${path}`);
    }
  } finally {
    await store.close();
    unlock();
  }
}

/** Where whoever is on the controller's own machine finds it. */
function urlOf(listen: string): string {
  const { host, port } = listenAddress(listen);
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `https://${here.includes(':') ? `[${here}]` : here}:${port}`;
}

/** As a person may be named here. */
function userNameOf({ USER }: NodeJS.ProcessEnv): string {
  let name = USER || 'admin';
  try {
    name = userInfo().username;
  } catch {
    // The system may not know this user id, in a container for one.
  }
  return name
    .toLowerCase()
    .replace(/[^a-z0-9._@+-]/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 63);
}

/** False where there is one: nothing is ever written over. */
async function writeNew(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw new FleetError(
      'bad_request',
      `${path} cannot be written: ${error instanceof Error ? error.message : error}`,
      {
        next: `make ${dirname(path)}, or run this where you may write`,
        cause: error,
      },
    );
  }
}

function readFlags(argv: string[]) {
  const name = { type: 'string', default: 'my-service' } as const;
  const config = { type: 'string', short: 'c', default: 'controller.yaml' } as const;
  const login = { type: 'string' } as const;
  const help = { type: 'boolean', short: 'h', default: false } as const;
  try {
    return parseArgs({ args: argv, allowPositionals: true, options: { name, config, login, help } });
  } catch (cause) {
    throw wrongUse(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function wrongUse(message: string, cause?: unknown): FleetError {
  return new FleetError('bad_request', message, { next: 'fleet init --help', cause });
}
