/** The values that a version runs with: exactly the variables that its sealed fleet.yaml declares. */
import { FleetError } from '@fleet/protocol/errors.ts';
import { BUILT_IN, type Service } from '@fleet/protocol/service.ts';
import type { Values } from '@fleet/protocol/words.ts';

/** Every declared variable and VERSION. Throws `undeclared_variable` and `missing_variable`. */
export function valuesFor(service: Service, version: string, given: Values): Record<string, string> {
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
