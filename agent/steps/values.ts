/** The values that a version runs with: exactly the variables that its sealed fleet.yaml declares. */

import { goesByArgv } from '@fleet/process/user.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { BUILT_IN, EXPOSED, exposuresOf, type Service, variableIn } from '@fleet/protocol/service.ts';
import type { Values } from '@fleet/protocol/words.ts';
import { checkSecret, type KnownSecrets } from '@fleet/trust/knownSecrets.ts';
import type { Host } from '../host.ts';
import type { Home } from '../releases/layout.ts';
import { readStarted, type Started } from '../releases/started.ts';

/** What a version runs with. */
export interface RunValues {
  /** Every declared variable, and VERSION. */
  values: Readonly<Record<string, string>>;
  /** Those of them that are secrets. */
  secrets: readonly string[];
}

/** As a message has them. */
interface Given {
  values: Values;
  secrets?: readonly string[] | undefined;
}

/** Secrets are known from then on. Throws `undeclared_variable`, `missing_variable`, `secret_refused`. */
export function valuesFor(service: Service, version: string, given: Given, known: KnownSecrets): RunValues {
  const values = declaredValues(service, version, given.values);
  const secrets = Object.keys(service.variables).filter(
    (name) => service.variables[name]?.secret || given.secrets?.includes(name),
  );
  for (const name of secrets) refuseUnsafe(service, version, name, values[name] ?? '');
  learnSecrets({ values, secrets }, known);
  return { values, secrets };
}

function learnSecrets({ values, secrets }: RunValues, known: KnownSecrets): void {
  for (const name of secrets) known.learn(name, values[name] ?? '');
}

/** What a service was last started with; its secrets are known from then on. */
export async function startedWith(
  { secrets }: Pick<Host, 'secrets'>,
  home: Home,
): Promise<Started | undefined> {
  const started = await readStarted(home);
  if (started !== undefined) learnSecrets(started, secrets);
  return started;
}

/** Whoever sends it: what stands in an argv is read by everybody on this host. */
function refuseUnsafe(service: Service, version: string, name: string, value: string): void {
  const what = `${name} of ${service.service} ${version}`;
  const argvs = Object.entries(service.run.environment)
    .filter(([variable, element]) => goesByArgv(variable) && variableIn(element) === name)
    .map(([variable]) => ['run', 'environment', variable]);
  const [path] = [...exposuresOf(service, name), ...argvs];
  if (path !== undefined)
    throw new FleetError(
      'secret_refused',
      `${what} is a secret, and stands in fleet.yaml at ${path.join('.')}: ${EXPOSED}`,
      {
        next: `Use \${${name}} below \`run.environment\` only, and build again.`,
      },
    );
  checkSecret(value, what);
}

function declaredValues(service: Service, version: string, given: Values): Record<string, string> {
  const what = `${service.service} ${version}`;
  const undeclared = Object.keys(given).filter((name) => !Object.hasOwn(service.variables, name));
  if (undeclared.length > 0)
    throw new FleetError(
      'undeclared_variable',
      `${what} does not declare ${undeclared.join(', ')}, which has a value`,
      {
        next: 'Declare it below `variables` in fleet.yaml, or remove its value from controller.yaml.',
        data: { variables: undeclared },
      },
    );
  const values: Record<string, string> = {};
  const missing: string[] = [];
  for (const [name, variable] of Object.entries(service.variables)) {
    const value = Object.hasOwn(given, name) ? given[name] : variable.default;
    if (value !== undefined) values[name] = value;
    else if (name !== BUILT_IN) missing.push(name);
  }
  if (missing.length > 0)
    throw new FleetError('missing_variable', `${what} declares ${missing.join(', ')}, which has no value`, {
      next: 'Give it a value below `values` in controller.yaml, or a default in fleet.yaml.',
      data: { variables: missing },
    });
  return { ...values, [BUILT_IN]: version };
}
