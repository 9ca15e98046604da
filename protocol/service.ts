/**
 * fleet.yaml: how a service is built, packed, run, checked and migrated. It lies in the service's repository, is sealed in
 * the manifest of every version, and is therefore always the one that belongs to the version that runs.
 */
import { z } from 'zod';
import { duration, isLoader, isOwn, serviceName, variableName, variableValue } from './words.ts';

const VARIABLE = /^\$\{([A-Z][A-Z0-9_]{0,63})\}$/;
/** One element of an argv, or one environment value. `${PORT}` alone stands for the variable's value; there is no other substitution. */
const element = z
  .string()
  .max(4096)
  .regex(/^[^\0]*$/)
  .describe('A literal, or ${NAME} alone: the value of a declared variable');
const argv = z.array(element).min(1).describe('Program and arguments, run without a shell');
/** What stands in the file is its author's; a value that is given from outside must not become code. */
const environment = z
  .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/), element)
  .superRefine((entries, context) => {
    for (const [name, text] of Object.entries(entries))
      if (isLoader(name) && variableIn(text) !== undefined)
        context.addIssue({
          code: 'custom',
          path: [name],
          message: 'a loader variable takes no value from outside, which would be code: write it out',
        });
  });
/** A path inside the release: relative, never climbing. */
const inside = z
  .string()
  .regex(
    /^(?![\s\S]*(^|\/)\.\.(\/|$))(?!\/)[^\u0000-\u001f\u007f]+$/,
    'a path inside the release, like data or config/local.json',
  );

const hook = z.strictObject({
  command: argv,
  timeout: duration.prefault('5m').describe('After this the whole process group is ended'),
  repeatable: z.boolean().default(false).describe('May run again when it was interrupted in the middle'),
});
export type Hook = z.infer<typeof hook>;

const once = hook.extend({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'a once step is named like migrate')
    .describe('What plans and messages call it'),
  when: z
    .enum(['before', 'after'])
    .default('before')
    .describe('before the first host is hidden, or after the last is back'),
});
export type Once = z.infer<typeof once>;

const common = {
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'a check is named like answers')
    .describe('What messages and --skip-check call it'),
  within: duration.prefault('30s').describe('Tried again until this much time has passed'),
  interval: duration.prefault('250ms').describe('Pause between two tries'),
  timeout: duration.prefault('2s').describe('One try takes no longer than this'),
};
const port = z
  .union([z.int().min(1).max(65535), z.string().regex(VARIABLE, 'a port number or ${PORT}')])
  .describe('A number, or ${NAME} alone');
const address = z.string().default('127.0.0.1').describe('Where the port is, seen from the host');
const httpCheck = z.strictObject({
  ...common,
  kind: z.literal('http').describe('A request that must get the right answer'),
  host: address,
  port,
  path: z
    .string()
    .regex(/^\/[^\s\0]*$/, 'a path that begins with /')
    .default('/')
    .describe('What is asked for'),
  status: z.int().min(100).max(599).default(200).describe('The status that the answer must have'),
  contains: element
    .optional()
    .describe('Text that the body must contain; ${VERSION} is the version that is deployed'),
});
const tcpCheck = z.strictObject({
  ...common,
  kind: z.literal('tcp').describe('A port that must take a connection'),
  host: address,
  port,
});
const commandCheck = z.strictObject({
  ...common,
  kind: z.literal('command').describe('A program that must end with exit status 0'),
  command: argv,
});
export const check = z.discriminatedUnion('kind', [httpCheck, tcpCheck, commandCheck]);
export type Check = z.infer<typeof check>;
export type CheckOf<K extends Check['kind']> = Extract<Check, { kind: K }>;

const stop = z.strictObject({
  signal: z
    .enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'])
    .default('SIGTERM')
    .describe('Sent to its whole process group first'),
  grace: duration.prefault('10s').describe('After this the whole process group is killed'),
});
const ENVIRONMENT =
  'Added to a clean environment, beside FLEET_SERVICE, FLEET_VERSION and FLEET_HOST; hooks and checks get it too';
const processRun = z.strictObject({
  supervisor: z
    .literal('process')
    .describe('The agent starts it, and starts it again after a crash or a reboot'),
  command: argv.describe('The program, without a shell; it stays in the foreground'),
  environment: environment.default({}).describe(ENVIRONMENT),
  stop: stop.prefault({}).describe('How it is asked to end'),
  log_size: z
    .int()
    .min(1)
    .max(1024)
    .default(16)
    .describe('MiB of log that are kept on the host, in two files'),
});
const commandRun = z.strictObject({
  supervisor: z
    .literal('command')
    .describe('Something else looks after it, and these commands tell it what to do'),
  start: argv.describe('Returns when it is started; must not stay in the foreground'),
  stop: argv.describe('Returns when it is stopped'),
  status: argv.describe('Exit status 0: it runs; 3: it does not; anything else: unknown'),
  environment: environment.default({}).describe(ENVIRONMENT),
  timeout: duration.prefault('1m').describe('After this a command is ended, and counts as failed'),
});
const within = duration.prefault('1m').describe('After this a start that has not come through has failed');
const systemdRun = z
  .strictObject({
    supervisor: z
      .literal('systemd')
      .describe('Systemd looks after it, as a unit of its own, with or without the agent'),
    command: argv
      .optional()
      .describe('The program, without a shell; it stays in the foreground, and is started by fleet’s unit'),
    unit: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_.@-]{0,200}\.service$/, 'a unit like team-web.service')
      .optional()
      .describe('Instead of `command`: a unit of the team’s own, which runs what lies below `current`'),
    notify: z
      .boolean()
      .default(false)
      .describe(
        'Whether it says READY itself, by sd_notify; without it, it counts as ready when it has come up',
      ),
    environment: environment.default({}).describe(ENVIRONMENT),
    stop: stop.prefault({}).describe('How it is asked to end; a unit of the team’s own says it itself'),
    within,
  })
  .refine(({ command, unit }) => (command === undefined) !== (unit === undefined), {
    message: 'give it either `command` or `unit`',
  });
const supervisordRun = z.strictObject({
  supervisor: z.literal('supervisord').describe('Supervisord looks after it'),
  program: z
    .string()
    .regex(/^(?!all$)[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'a program of supervisord')
    .describe('Its name there'),
  command: argv
    .optional()
    .describe(
      'The program, where supervisord starts fleet’s launcher; without it, supervisord’s own configuration says what runs',
    ),
  environment: environment.default({}).describe(ENVIRONMENT),
  within,
});
const agentRun = z.strictObject({
  supervisor: z
    .literal('agent')
    .describe(
      'For fleet’s own fleet-agent and fleet-node alone: the agent is started anew, from what is current then',
    ),
  environment: environment.default({}).describe('Nothing: the agent’s unit says what is in its environment'),
});
export const run = z.discriminatedUnion('supervisor', [
  processRun,
  commandRun,
  systemdRun,
  supervisordRun,
  agentRun,
]);
export type Run = z.infer<typeof run>;
export type RunOf<K extends Run['supervisor']> = Extract<Run, { supervisor: K }>;

const written = z.strictObject({
  service: serviceName.describe('Its name, the same as in controller.yaml'),
  build: z
    .strictObject({
      command: argv
        .optional()
        .describe('Run in a clean checkout; without one, the checkout is packed as it is'),
      timeout: duration.prefault('15m').describe('After this the build is ended, and has failed'),
      environment: z
        .record(z.string(), z.string())
        .default({})
        .describe('Added to the clean environment of build and test, beside VERSION and SOURCE_DATE_EPOCH'),
    })
    .prefault({})
    .describe('What is run before the files are packed'),
  package: z
    .strictObject({
      root: inside.or(z.literal('.')).default('.').describe('The folder that becomes the release'),
      include: z
        .array(z.string())
        .default(['**'])
        .describe('What goes into the tarball, as globs below root'),
      exclude: z.array(z.string()).default([]).describe('What stays out of it'),
      compression: z
        .enum(['zstd', 'gzip'])
        .default('zstd')
        .describe('gzip where people unpack by hand on bare hosts'),
      test: z
        .strictObject({
          command: argv,
          timeout: duration.prefault('10m').describe('After this the test is ended, and has failed'),
        })
        .optional()
        .describe('Run in the unpacked tarball, before the version counts as built'),
    })
    .prefault({})
    .describe('What becomes the release that hosts get'),
  variables: z
    .record(
      variableName,
      z.strictObject({
        description: z.string().optional().describe('What it is for, for people'),
        default: variableValue
          .optional()
          .describe('Its value where controller.yaml gives none; without one, controller.yaml must'),
        secret: z
          .boolean()
          .default(false)
          .describe('Its value is shown nowhere, and may be used in `environment` only'),
      }),
    )
    .default({})
    .describe('What differs between environments and hosts; controller.yaml gives the values'),
  run: run.describe('How it runs on a host'),
  hooks: z
    .strictObject({
      before_stop: hook.optional().describe('From the release that runs'),
      after_stop: hook.optional().describe('From the release that ran'),
      before_start: hook.optional().describe('From the release that comes'),
      after_start: hook.optional().describe('From the release that comes'),
    })
    .prefault({})
    .describe('Programs that run on every host around its restart, in the release’s folder'),
  once: z.array(once).default([]).describe('Run on one host of the environment, such as migrations'),
  smoke: z.array(check).default([]).describe('All must pass before the host is shown to users again'),
  shared: z
    .array(inside)
    .default([])
    .describe(
      'Paths that outlive a release: they lie in shared/ on the host, and are linked into every release',
    ),
});
/** A fleet.yaml. What it declares as a secret, it keeps as one. */
export const service = written.check(({ value, issues }) => {
  const complain = (path: PropertyKey[], message: string) =>
    issues.push({ code: 'custom', path, message, input: value });
  if (isOwn(value.service) !== (value.run.supervisor === 'agent'))
    complain(
      ['run', 'supervisor'],
      'agent is what looks after fleet-agent and fleet-node, and after nothing else',
    );
  for (const [name, { secret, default: fallback }] of Object.entries(value.variables)) {
    if (!secret) continue;
    const at = ['variables', name];
    if (name === BUILT_IN) complain(at, `${BUILT_IN} is the name of the version, and no secret`);
    if (fallback !== undefined)
      complain([...at, 'default'], 'a secret has no default: this file is in every release');
    for (const path of exposuresOf(value, name)) complain(path, `${name} is a secret: ${EXPOSED}`);
  }
});
export type Service = z.infer<typeof service>;
export type HookName = keyof Service['hooks'];

/** Why a secret may stand in `environment` only. */
export const EXPOSED = 'anybody on the host can read it here; give it to the program by `environment`';

/** Where, outside of `environment`, a variable is used: paths into the fleet.yaml. */
export function exposuresOf(
  { run, hooks, once, smoke }: Pick<Service, 'run' | 'hooks' | 'once' | 'smoke'>,
  variable: string,
): PropertyKey[][] {
  const places = { run: { ...run, environment: undefined }, hooks, once, smoke };
  const found: PropertyKey[][] = [];
  const look = (thing: unknown, path: PropertyKey[]) => {
    if (typeof thing === 'string' && variableIn(thing) === variable) found.push(path);
    if (Array.isArray(thing)) for (const [index, each] of thing.entries()) look(each, [...path, index]);
    else if (typeof thing === 'object' && thing !== null)
      for (const [key, each] of Object.entries(thing)) look(each, [...path, key]);
  };
  look(places, []);
  return found;
}

/** The version's own name, which every version may use although it does not declare it. */
export const BUILT_IN = 'VERSION';

/** The declared variables that an element names, or undefined where it is a literal. */
export function variableIn(text: string): string | undefined {
  return VARIABLE.exec(text)?.[1];
}

/** `${PORT}` becomes its value, a literal stays. `values` holds every declared variable and VERSION (see `environmentOf`). */
export function substitute(text: string, values: Readonly<Record<string, string>>): string {
  const name = variableIn(text);
  return name === undefined ? text : (values[name] ?? '');
}
