/** Who this host is and where its releases go: from agent.yaml, from the command line, or both. */
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type AgentConfig, agentConfig } from '@fleet/config/agent.ts';
import { AGENT_PATH } from '@fleet/protocol/api/routes.ts';
import { FleetError } from '@fleet/protocol/errors.ts';

export const HELP = `Usage: fleet agent --config agent.yaml
       fleet agent --host NAME [--controller URL] [--root DIR] [--data DIR] [--label NAME=VALUE ...]
       fleet agent --end-services (--config agent.yaml | --host NAME --root DIR)

Runs on every host: dials the controller, takes releases, and starts, stops and checks services.

  --config FILE        agent.yaml; the flags below go before what it says
  --host NAME          this host's name
  --controller URL     where the controller listens (ws://127.0.0.1:7300)
  --root DIR           releases go to DIR/SERVICE/releases/VERSION (/srv/fleet)
  --data DIR           the agent's own journal (ROOT/.agent)
  --label NAME=VALUE   role, environment, port: what environments select by; may be repeated
  --end-services       stop every service of this host for good, and end; its agent must not run
  -h, --help           this text

FLEET_LOG sets how much is logged to stderr: error, warn, info (the default), debug.`;

export interface AgentSettings {
  host: string;
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
}

/** `help` where that was asked for. Throws `bad_request` for flags, `bad_config` for the file and for values. */
export async function readSettings(argv: string[]): Promise<AgentSettings | 'help'> {
  const flags = parseFlags(argv);
  if (flags.help) return 'help';
  const written = flags.config === undefined ? {} : await readFileConfig(flags.config);
  const given = {
    ...written,
    ...defined({ host: flags.host, controller: flags.controller, root: flags.root, data: flags.data }),
    labels: { ...written.labels, ...labelsOf(flags.label ?? []) },
  };
  if (given.host === undefined) throw badRequest('an agent needs --host NAME or --config FILE');
  const result = agentConfig.safeParse(given);
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new FleetError('bad_config', problems.join('\n'), { next: '`fleet agent --help` shows the form.' });
  }
  const { host, controller, labels, policy } = result.data;
  const root = resolve(result.data.root);
  return {
    host,
    controller: agentUrl(controller),
    root,
    data: resolve(result.data.data ?? `${root}/.agent`),
    labels,
    policy,
    file: flags.config,
    endServices: flags['end-services'] ?? false,
  };
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
