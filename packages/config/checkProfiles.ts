/** What a profile means beyond its form: services that its labels select and its policy does not take, files that are not there. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fits } from '@fleet/protocol/policy.ts';
import type { ControllerConfig } from './controller.ts';
import type { Inspected } from './load.ts';
import { hint, named } from './names.ts';
import type { Problem } from './parse.ts';
import { servicesOf } from './profiles.ts';

export function* checkProfiles(
  config: ControllerConfig,
  folder: string,
  problemAt: Inspected<ControllerConfig>['problemAt'],
  notes: string[],
): Generator<Problem> {
  for (const [name, profile] of Object.entries(config.profiles)) {
    const at = ['profiles', name];
    const selected = servicesOf(config, profile.labels).map(({ service }) => service);
    if (selected.length === 0)
      notes.push(`profile ${name}: no environment selects these labels, its hosts would run nothing.`);
    for (const service of Object.keys(profile.policy.run_as))
      if (named(config.services, service) === undefined)
        yield problemAt(
          [...at, 'policy', 'run_as', service],
          `no such service${hint(service, Object.keys(config.services))}`,
          'key',
        );
    const { services } = profile.policy;
    for (const service of selected)
      if (services !== undefined && !fits(services, service))
        yield problemAt(
          [...at, 'policy', 'services'],
          `the labels select ${service}, and this does not take it: add it, or take the line out`,
        );
    for (const [label, patterns] of Object.entries(profile.policy.labels ?? {})) {
      const value = named(profile.labels, label);
      if (value !== undefined && !fits(patterns, value))
        yield problemAt(
          [...at, 'policy', 'labels', label],
          `the profile’s own label is ${value}, and this does not take it`,
        );
    }
    for (const [index, { source }] of profile.files.entries())
      if (source !== undefined && !statSync(resolve(folder, source), { throwIfNoEntry: false })?.isFile())
        yield problemAt([...at, 'files', index, 'source'], `there is no file ${resolve(folder, source)}`);
  }
}
