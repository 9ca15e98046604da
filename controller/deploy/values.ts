/**
 * Values on their way to a host. Plans, steps and records keep of a secret only its name and a fingerprint; the value itself is
 * read at the step that sends it, and is gone after it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ControllerConfig } from '@fleet/config/controller.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { EXPOSED, exposuresOf, type Service } from '@fleet/protocol/service.ts';
import type { KeptValues, Values } from '@fleet/protocol/words.ts';
import { type ConfiguredValues, placementOf } from '../config/config.ts';
import type { Secrets } from '../secrets/secrets.ts';

export interface Whose {
  service: string;
  environment: string;
  host: string;
}

/** As a message to an agent carries them. */
export interface SentValues {
  values: Values;
  secrets?: string[];
}

/** `sealed` is null for a version that has yet to be built: nobody knows then what it declares, so all is kept as a secret is. */
export async function keepValues(
  { secrets }: { secrets: Secrets },
  configured: ConfiguredValues,
  sealed: Service | null,
  whose: Whose,
): Promise<KeptValues> {
  const kept = Object.entries(configured).map(
    async ([name, value]): Promise<[string, KeptValues[string]]> => {
      const what = nameOf(name, whose);
      if (typeof value !== 'string') {
        refuseExposed(sealed, name, what);
        const fingerprint = secrets.fingerprint(name, await secrets.read(value.secret, what));
        return [name, { secret: value.secret, fingerprint }];
      }
      if (sealed === null) return [name, { secret: null, fingerprint: secrets.fingerprint(name, value) }];
      if (!sealed.variables[name]?.secret) return [name, value];
      return [name, { secret: null, fingerprint: secrets.fingerprint(name, secrets.keep(name, value)) }];
    },
  );
  return Object.fromEntries(await Promise.all(kept));
}

/** Reads the secrets among them. Throws `missing_secret`, `key_too_open`, `secret_refused`. */
export async function openValues(
  { secrets, config }: { secrets: Secrets; config: ControllerConfig },
  kept: KeptValues,
  whose: Whose,
): Promise<SentValues> {
  const opened = Object.entries(kept).map(async ([name, value]): Promise<[string, string]> => {
    if (typeof value === 'string') return [name, value];
    const what = nameOf(name, whose);
    if (value.secret !== null) return [name, await secrets.read(value.secret, what)];
    const written = placementOf(config, whose.service, whose.environment).values[name];
    if (typeof written === 'string') return [name, secrets.keep(name, written)];
    throw new FleetError(
      'missing_secret',
      `${what} is a secret, and controller.yaml has no value for it now`,
      {
        next: `give ${name} a value in controller.yaml again`,
      },
    );
  });
  const values = Object.fromEntries(await Promise.all(opened));
  const names = Object.keys(kept).filter((name) => typeof kept[name] !== 'string');
  return names.length === 0 ? { values } : { values, secrets: names };
}

export function sameValues(one: KeptValues, other: KeptValues): boolean {
  return isDeepStrictEqual(one, other);
}

function nameOf(variable: string, { service, host }: Whose): string {
  return `${variable} of ${service} on ${host}`;
}

function refuseExposed(sealed: Service | null, name: string, what: string): void {
  const [path] = sealed === null ? [] : exposuresOf(sealed, name);
  if (path === undefined) return;
  throw new FleetError(
    'secret_refused',
    `${what} is a secret, and this version has it in fleet.yaml at ${path.join('.')}: ${EXPOSED}`,
    { next: `use \${${name}} below \`run.environment\` only, and build again` },
  );
}
