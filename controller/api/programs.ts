import type { Handlers, Served } from './handlers.ts';

export function programs({ programs }: Served): Handlers<'programs.list' | 'programs.fetch'> {
  return {
    'programs.list': () => programs.list(),
    'programs.fetch': ({ params: { service, version, part } }) => programs.open(service, version, part),
  };
}
