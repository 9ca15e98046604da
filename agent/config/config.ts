/** Who this host is and where its releases go: from agent.yaml, from the command line, or both. */
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type AgentConfig, agentConfig } from '@fleet/config/agent.ts';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { type Joined, readJoined } from '../trust/joined.ts';

export const HELP = `Usage: fleet agent [--config agent.yaml]
       fleet agent join 'STRING' [--host NAME] [--config agent.yaml]
       fleet agent --host NAME [--controller URL] [--root DIR] [--data DIR] [--label NAME=VALUE ...]
       fleet agent --self-test --config agent.yaml
       fleet agent doctor [--config agent.yaml] [--json]
       fleet agent --end-services (--config agent.yaml | --host NAME --root DIR)

Runs on every host: dials the controller, takes releases, and starts, stops and checks services. A host that has joined a
fleet knows its name, its labels and where the controller is; --host, --controller and --label are for development.

  --config FILE        agent.yaml; the flags below go before what it says
  --host NAME          this host's name
  --controller URL     where the controller listens (ws://127.0.0.1:7300)
  --root DIR           releases go to DIR/SERVICE/releases/VERSION (/srv/fleet)
  --data DIR           the agent's own journal (ROOT/.agent)
  --label NAME=VALUE   role, environment, port: what environments select by; may be repeated
  --end-services       stop every service of this host for good, and end; its agent must not run
  --self-test          load everything, read what the agent wrote on this host, change nothing, and say which release this is
  -h, --help           this text

FLEET_LOG sets how much is logged to stderr: error, warn, info (the default), debug.`;

export interface AgentSettings {
  host: string;
  /** Undefined in development: the link is plain, and nothing has to be signed. */
  joined: Joined | undefined;
  /** With the path where agents connect. */
  controller: string;
  /** Absolute, as `data` is. */
  root: string;
  data: string;
  labels: AgentConfig['labels'];
  policy: AgentConfig['policy'];
  /** agent.yaml, where there is one. */
  file: string | undefined;
  endServices: boolean;
  selfTest: boolean;
}

/** `help` where that was asked for. Throws `bad_request` for flags, `bad_config` for the file and for values, `not_enrolled`. */
export async function readSettings(argv: string[]): Promise<AgentSettings | 'help'> {
  const flags = parseFlags(argv);
  if (flags.help) return 'help';
  const { config, file } = await readConfig(flags);
  const joined = readJoined(join(config.data, 'trust'));
  const host = joined?.host ?? config.host;
  if (host === undefined)
    throw new FleetError('not_enrolled', 'this host has joined no fleet, and has no name', {
      next: 'fleet token create where the controller is, then fleet agent join on this host; in development, --host NAME',
    });
  if (joined !== undefined && (config.host ?? host) !== host)
    throw new FleetError(
      'bad_config',
      `this host has joined as ${host}, and its configuration says ${config.host}`,
      {
        next: `take the host out of it; for another name: fleet hosts forget ${host}, then fleet agent join --again`,
      },
    );
  const controller = agentUrl(config.controller ?? joined?.agents ?? 'ws://127.0.0.1:7300');
  refusePlain(controller, joined !== undefined);
  const { root, data, policy } = config;
  const labels = joined?.labels ?? config.labels;
  const endServices = flags['end-services'] ?? false;
  const selfTest = flags['self-test'] ?? false;
  return { host, joined, controller, root, data, labels, policy, file, endServices, selfTest };
}

/** From the file and the flags, with absolute paths. */
export async function readConfig(flags: ReturnType<typeof parseFlags>) {
  const written = flags.config === undefined ? {} : await readFileConfig(flags.config);
  const given = {
    ...written,
    ...defined({ host: flags.host, controller: flags.controller, root: flags.root, data: flags.data }),
    labels: { ...written.labels, ...labelsOf(flags.label ?? []) },
  };
  const result = agentConfig.safeParse(given);
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new FleetError('bad_config', problems.join('\n'), { next: '`fleet agent --help` shows the form.' });
  }
  const root = resolve(result.data.root);
  return {
    config: { ...result.data, root, data: resolve(result.data.data ?? `${root}/.agent`) },
    file: flags.config,
  };
}

/** Whoever is between them could be the controller. */
function refusePlain(controller: string, joined: boolean): void {
  const { protocol, hostname } = new URL(controller);
  if (protocol === 'wss:' && !joined)
    throw new FleetError('not_enrolled', `${controller} takes hosts that have joined, and this one has not`, {
      next: 'fleet token create where the controller is, then fleet agent join on this host',
    });
  if (protocol === 'wss:') return;
  if (joined)
    throw new FleetError(
      'bad_config',
      `this host has joined a fleet: it does not speak plain, as ${controller} would`,
      {
        next: 'take `controller` out of its configuration',
      },
    );
  if (hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)) return;
  throw new FleetError('bad_config', `${controller} is plain, and not on this machine`, {
    next: 'join the fleet: fleet token create where the controller is, then fleet agent join on this host',
  });
}

function parseFlags(argv: string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: argv,
      options: {
        config: text,
        host: text,
        controller: text,
        root: text,
        data: text,
        label: { type: 'string', multiple: true },
        'end-services': { type: 'boolean' },
        'self-test': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw badRequest(error instanceof Error ? error.message : String(error));
  }
}

/** Paths in it are relative to it. */
async function readFileConfig(path: string): Promise<Partial<AgentConfig>> {
  // Loaded only where there is a file: it is a tenth of an idle agent's memory.
  const { loadYaml } = await import('@fleet/config/load.ts');
  const { value } = await loadYaml(path, agentConfig);
  const from = dirname(resolve(path));
  return {
    ...value,
    root: resolve(from, value.root),
    ...defined({ data: value.data && resolve(from, value.data) }),
  };
}

function labelsOf(written: string[]): Record<string, string> {
  return Object.fromEntries(
    written.map((label) => {
      const at = label.indexOf('=');
      if (at < 1) throw badRequest(`--label ${label} is not of the form NAME=VALUE`);
      return [label.slice(0, at), label.slice(at + 1)];
    }),
  );
}

/** A URL without a path means a controller, which takes agents on a path of its own. */
function agentUrl(written: string): string {
  if (!URL.canParse(written)) throw new FleetError('bad_config', `controller: ${written} is not a URL`);
  const url = new URL(written);
  if (url.pathname === '/') url.pathname = AGENT_PATH;
  return url.href;
}

function defined<T extends Record<string, unknown>>(all: T): Partial<T> {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function badRequest(message: string): FleetError {
  return new FleetError('bad_request', message, { next: '`fleet agent --help` shows the form.' });
}
