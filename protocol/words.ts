/**
 * The project's words, each with its one strict grammar. Names are checked here, at the edge, so that
 * nothing behind it needs to wonder whether a host name is an option, a path or a piece of shell.
 */
import { z } from 'zod';

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** A service: what is built, versioned and deployed as one. */
export const serviceName = z.string().regex(NAME, 'a service is named like segmenter, cubed-api.v2');
/** Fleet's own programs are releases like those of any service, under names that no service may have. */
export const OWN = { agent: 'fleet-agent', node: 'fleet-node' } as const;
export const ownService = z.enum(OWN, 'fleet’s own programs are fleet-agent and fleet-node');
export type OwnService = z.infer<typeof ownService>;
/** Where they run: an environment that every host is in, and that stands in no controller.yaml. */
export const OWN_ENVIRONMENT = 'fleet';
export const isOwn = (service: string): service is OwnService => ownService.safeParse(service).success;
/** The unit of a service is called fleet-SERVICE: those of the agent and of the controller themselves are taken, too. */
const RESERVED: readonly string[] = [...Object.values(OWN), 'agent', 'controller'];
/** A service of somebody's, as controller.yaml names it. */
export const ownedServiceName = serviceName.refine(
  (name) => !RESERVED.includes(name),
  `${RESERVED.join(', ')} are names of fleet’s own`,
);
/** A host: a machine with one agent. */
export const hostName = z.string().regex(NAME, 'a host is named like web-1, cubed-segmenter-a');
/** An environment: a set of hosts that run one version of each service. */
export const environmentName = z.string().regex(NAME, 'an environment is named like production, staging');
/** Whoever has a token: a person, or a program such as ci. Also what the history calls them. */
export const personName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._@+-]{0,62}$/, 'a person or program is named like ann, ci, bob@desk');
/** A version of a service. It is also a directory name on every host. */
export const versionName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$/, 'a version is named like 1.4.2 or 20261121T0930-4f2a9c1');
/** A git branch, tag or commit. Never begins with a dash and never climbs. */
export const refName = z
  .string()
  .regex(
    /^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/@+-]{0,199}$/,
    'a ref is a branch, tag or commit, like main, v1.4.2, rc/2026-11',
  );
/** A label on a host: role, environment, port. Both halves are plain words. */
export const labelName = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'a label is named like role or port');
export const labelValue = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, 'a label value is a plain word');
export const labels = z.record(labelName, labelValue);
export type Labels = z.infer<typeof labels>;

/** Variables that a loader reads before the program does: a value for one of these is code, so it is refused. */
const LOADER =
  /^(LD_|DYLD_|NODE_(?!ENV$)|PYTHON|PERL|RUBY|JAVA_TOOL|JDK_JAVA|BASH_|GIT_|NPM_CONFIG_|OPENSSL_|DOTNET_)|^(PATH|IFS|ENV|SHELLOPTS|PS4|PROMPT_COMMAND|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|CLASSPATH|HOME|SHELL)$/;
export function isLoader(name: string): boolean {
  return LOADER.test(name.toUpperCase());
}
/** A variable that a service declares and an environment gives a value. */
export const variableName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'a variable is named like PORT or LOG_LEVEL')
  .refine((name) => !isLoader(name), 'a loader variable cannot be declared: it would be code');
export const variableValue = z
  .string()
  .max(4096)
  .regex(/^[^\0]*$/);
export const values = z.record(variableName, variableValue);
/** Declared variables with their values on one host. */
export type Values = z.infer<typeof values>;
/** Which of the values that go with it are secrets, beside those that the version itself declares as such. */
export const secrets = z.array(variableName).optional();

/** A secret, as controller.yaml calls it. */
export const secretName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, 'a secret is named like database-password');
/**
 * Values as plans and records keep them. Of a secret that is its name, and a fingerprint by which a changed one shows; without
 * a name it is written in controller.yaml itself, where the variable has its value.
 */
export const keptValues = z.record(
  variableName,
  z.union([variableValue, z.strictObject({ secret: secretName.nullable(), fingerprint: z.string() })]),
);
export type KeptValues = z.infer<typeof keptValues>;

/** A moment, as ISO 8601 in UTC. */
export const moment = z.iso.datetime();

/** Made with a controller's database: a fresh one is another fleet. */
export const fleetId = z.string().regex(/^[0-9a-f-]{36}$/);

/** sha256 of something, lower-case hex, 64 characters. */
export const digest = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * How a step ended, in the words that Ansible's users know. `ok`: it holds; `changed`: it holds and something on the host is
 * different now; `unreachable`: nobody knows, because the host did not answer; `ignored`: it failed and was allowed to.
 */
export const outcome = z.enum(['ok', 'changed', 'unreachable', 'failed', 'skipped', 'ignored']);
export type Outcome = z.infer<typeof outcome>;

/** Durations as people write them: 500ms, 30s, 5m, 1h. Gives milliseconds. */
export const duration = z
  .string()
  .regex(/^\d{1,6}(ms|s|m|h)$/, 'a duration is written like 500ms, 30s, 5m or 1h')
  .transform((text) => {
    const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) as unknown as [
      string,
      string,
      keyof typeof UNITS,
    ];
    return Number(number) * UNITS[unit];
  });
/** How long something holds, as people write it: 15m, 12h, 90d. Gives milliseconds. */
export const lifetime = z
  .string()
  .regex(/^\d{1,4}(m|h|d)$/, 'a lifetime is written like 15m, 12h or 90d')
  .transform((text) => Number(text.slice(0, -1)) * UNITS[text.slice(-1) as keyof typeof UNITS]);
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
