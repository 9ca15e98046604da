import type { Handlers, Served } from './handlers.ts';

export function rehearsals({
  store,
}: Served): Handlers<'rehearsals.begin' | 'rehearsals.end' | 'rehearsals.list' | 'rehearsals.show'> {
  return {
    'rehearsals.begin': async ({ body, by }) => ({ id: await store.rehearsals.begin({ ...body, by }) }),
    'rehearsals.end': async ({ params: { id }, body }) => {
      await store.rehearsals.end(id, body);
      return { ended: true };
    },
    'rehearsals.list': ({ query }) => store.rehearsals.list(query),
    'rehearsals.show': ({ params: { id } }) => store.rehearsals.get(id),
  };
}
