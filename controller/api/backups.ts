import type { Handlers, Served } from './handlers.ts';

export function backups({ backups }: Served): Handlers<'backups.start' | 'backups.show'> {
  return {
    'backups.start': async ({ body }) => ({ backup: backups.start(body.directory) }),
    'backups.show': async ({ params }) => backups.show(params.id),
  };
}
