import type { Code } from '@fleet/protocol/errors.ts';

/**
 * What an agent may say went wrong: its own host and its own messages. That the link was lost, that the database is full or that a
 * gate refuses is the controller's to say, and makes it wait, or stop, for more than this one host.
 */
export const SAYINGS: ReadonlySet<Code> = new Set<Code>([
  'aborted',
  'bad_archive',
  'bad_config',
  'bad_message',
  'bad_request',
  'below_floor',
  'check_failed',
  'clock_off',
  'disk_full',
  'drifted',
  'hook_failed',
  'hook_interrupted',
  'internal',
  'key_too_open',
  'missing_variable',
  'no_release',
  'not_signed',
  'policy_refused',
  'stale_epoch',
  'start_failed',
  'stop_failed',
  'stopping',
  'switch_failed',
  'timeout',
  'too_many',
  'transfer_failed',
  'undeclared_variable',
  'unknown_method',
  'version_exists',
]);
