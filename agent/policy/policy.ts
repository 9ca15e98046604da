/**
 * What this host lets be done on it. agent.yaml decides, and nothing that a controller sends changes it: it is asked before a
 * command is looked at any further, and again where a program is about to be started.
 */
import { userInfo } from 'node:os';
import type { PolicyConfig } from '@fleet/config/agent.ts';
import { mayRunAs, needsSudo } from '@fleet/process/sudo.ts';
import { findSetpriv, findUser, type User } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { fits, type ToldPolicy } from '@fleet/protocol/policy.ts';
import type { Service } from '@fleet/protocol/service.ts';
import { isOwn, type Labels } from '@fleet/protocol/words.ts';
import { SUDOERS } from '@fleet/units/sudoers.ts';

export interface Policy {
  /** With every default filled in, for people. */
  readonly told: ToldPolicy;
  /** Throws `policy_refused` unless this service may be on this host, and it is known as whom it runs. */
  admit(service: string): Promise<void>;
  /** Whom its programs run as, undefined for the agent's own user. Throws `policy_refused`. */
  userOf(service: string): Promise<User | undefined>;
  /** What a version brings along besides the service itself. Throws `policy_refused`. */
  admitHooks(service: Service): Promise<void>;
  /** Throws `policy_refused` where this host would not have one of these labels. */
  admitLabels(labels: Labels): void;
}

export interface PolicyOptions {
  /** This host's name. */
  host: string;
  /** Absolute. */
  root: string;
  /** Has been enrolled: a controller that is not this machine's own speaks to it. */
  joined: boolean;
  /** Was started by its unit, on a host in earnest: nothing there runs as the agent's own user, whatever the file says. */
  byUnit?: boolean | undefined;
  config: PolicyConfig;
  /** The file that has it, for messages. */
  file?: string | undefined;
}

/** In agent.yaml: the agent's own user. */
const SELF = 'self';

export function createPolicy(options: PolicyOptions): Policy {
  const { host, root, joined, byUnit = false, config, file = 'agent.yaml' } = options;
  const { uid, username } = userInfo();
  const { services, labels, upgrades } = config;
  const runAs = joined || config.run_as['*'] !== undefined ? config.run_as : { ...config.run_as, '*': SELF };
  const rootHooks = config.root_hooks ?? !joined;

  const refused = (what: string, next: string) =>
    new FleetError('policy_refused', `${host} ${what}`, { next, data: { host } });
  const allowing = (line: string) =>
    `To allow it, write ${line} below \`policy\` in ${file} on ${host}, and start its agent again.`;

  /** Users for whom a rule of sudo was found. One that goes later is missed where it is needed. */
  const ruled = new Set<string>();

  async function userOf(service: string): Promise<User | undefined> {
    // They are what this host runs by, and started by its systemd.
    if (isOwn(service)) return undefined;
    const name = Object.hasOwn(runAs, service) ? runAs[service] : runAs['*'];
    if (name === undefined)
      throw refused(
        `does not run ${service}: its ${file} does not say as which user`,
        allowing(
          `\`run_as: { ${service}: USER }\`${byUnit ? '' : ` (\`self\` for the agent’s own, ${username})`}`,
        ),
      );
    if (name === SELF || name === username) return ownUser(service);
    const user = await findUser(name);
    if (user === undefined)
      throw refused(
        `has no user ${name}, as whom its ${file} lets ${service} run`,
        `Make one on ${host} (useradd --system ${name}), or name another one for ${service} below \`policy.run_as\` in ${file}.`,
      );
    if (user.uid === uid) return ownUser(service);
    if (findSetpriv() === undefined)
      throw refused(`cannot run ${service} as ${name}: it has no setpriv`, `Install util-linux on ${host}.`);
    if (needsSudo(user) && !ruled.has(name)) await requireRule(service, name);
    return user;
  }

  function ownUser(service: string): undefined {
    if (byUnit)
      throw refused(
        `does not run ${service} as ${username}: that is its agent’s own user, who can change what the agent runs`,
        allowing(`\`run_as: { ${service}: USER }\``),
      );
  }

  async function requireRule(service: string, name: string): Promise<void> {
    if (!(await mayRunAs(name)))
      throw refused(
        `cannot run ${service} as ${name}: its agent runs as ${username}, and there is no rule of sudo for that`,
        `fleet hosts add -p PROFILE ${host} writes it. By hand, in ${SUDOERS}: ${username} ALL=(${name}) NOPASSWD:SETENV: ALL`,
      );
    ruled.add(name);
  }

  return {
    told: { user: username, root, services, runAs, rootHooks, upgrades, labels },
    userOf,
    async admit(service) {
      if (isOwn(service)) {
        if (!upgrades)
          throw refused(
            `does not let its agent be replaced: its ${file} says so`,
            allowing('`upgrades: true`'),
          );
        return;
      }
      if (!fits(services, service))
        throw refused(
          `does not take ${service}: its ${file} allows ${services.join(', ') || 'no service'}`,
          allowing(
            `\`services: [${[...services, service].map((each) => JSON.stringify(each)).join(', ')}]\``,
          ),
        );
      await userOf(service);
    },
    async admitHooks({ service, hooks, once, smoke }) {
      const extra = [
        ...Object.keys(hooks),
        ...once.map(({ name }) => name),
        ...smoke.filter(({ kind }) => kind === 'command').map(({ name }) => name),
      ];
      if (uid !== 0 || rootHooks || extra.length === 0 || (await userOf(service)) !== undefined) return;
      throw refused(
        `does not run ${extra.join(', ')} of ${service} as root`,
        allowing(`\`run_as: { ${service}: USER }\`, or \`root_hooks: true\`,`),
      );
    },
    admitLabels(given) {
      for (const [name, value] of Object.entries(given)) {
        const patterns = Object.hasOwn(labels, name) ? labels[name]! : ['*'];
        if (!fits(patterns, value))
          throw refused(
            `does not take the label ${name}=${value}: its ${file} allows ${patterns.join(', ')}`,
            allowing(
              `\`labels: { ${name}: [${[...patterns, value].map((each) => JSON.stringify(each)).join(', ')}] }\``,
            ),
          );
      }
    },
  };
}
