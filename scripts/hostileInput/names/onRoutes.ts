/** Bad names in every text of every route’s parameters, query and body. */
import { ROUTES, type Route } from '@fleet/protocol/api/routes.ts';
import type { FleetProgram } from '../fleetProgram.ts';
import type { Part } from '../part.ts';
import { namePath, type Step, sampleOf, textsOf, withText } from './fields.ts';

/** What a request says beside the bad name: things that are there where one only looks, and are not where something would begin. */
const LOOKING = {
  service: 'web',
  environment: 'production',
  host: 'web-1',
  version: '1.0.0',
  id: 1,
  step: 1,
};
const ACTING = {
  service: 'absent',
  host: 'absent',
  version: '9.9.9',
  id: 999_999,
  step: 1,
  directory: '/absent/of/the/machine',
};
const PARTS = ['params', 'query', 'body'] as const;

export async function badNamesOnRoutes(
  part: Part,
  program: FleetProgram,
  names: readonly string[],
): Promise<void> {
  for (const [name, route] of Object.entries(ROUTES) as Array<[string, Route]>)
    for (const where of PARTS) {
      const schema = route[where];
      if (schema === undefined) continue;
      for (const path of textsOf(schema)) {
        const before = program.state();
        let taken = 0;
        for (const bad of names) {
          const { status, code } = await ask(program.url, route, where, path, bad);
          const refused = status >= 400;
          part.count(`routes: ${refused ? `${status} ${code}` : `${status}, taken as text`}`);
          if (status >= 500 && code === 'internal')
            part.fault(`${name} ${where} ${namePath(path)} = ${JSON.stringify(bad)}: ${status} ${code}`);
          if (!refused && route.method !== 'GET') taken += 1;
        }
        // What takes any text, such as a reason, may do what it was asked for.
        if (taken > 0) continue;
        for (const change of program.changesSince(before))
          part.fault(`${name} ${where} ${namePath(path)}: ${change}`);
      }
    }
}

async function ask(
  url: string,
  route: Route,
  where: (typeof PARTS)[number],
  path: readonly Step[],
  bad: string,
): Promise<{ status: number; code: string }> {
  const known = route.method === 'GET' ? LOOKING : ACTING;
  const given = (each: (typeof PARTS)[number]) => {
    const value = route[each] === undefined ? undefined : sampleOf(route[each], known);
    return (each === where ? withText(value, path, bad) : value) as Record<string, unknown> | undefined;
  };
  const params = given('params') ?? {};
  const full = route.path.replace(/:([a-z]+)/g, (_, name: string) => encodeLoosely(String(params[name])));
  const query = Object.entries(given('query') ?? {}).map(
    ([key, value]) => `${encodeLoosely(key)}=${encodeLoosely(String(value))}`,
  );
  const body = given('body');
  try {
    const response = await fetch(`${url}${full}${query.length > 0 ? `?${query.join('&')}` : ''}`, {
      method: route.method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      signal: AbortSignal.timeout(30_000),
    });
    const answer = (await response.json().catch(() => ({}))) as { code?: string };
    return { status: response.status, code: answer.code ?? '' };
  } catch (error) {
    // Longer than a request line may be.
    return { status: 400, code: `connection closed (${(error as Error).name})` };
  }
}

function encodeLoosely(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
