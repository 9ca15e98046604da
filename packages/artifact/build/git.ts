/** Running git on somebody's repository: no hooks, no prompts, no configuration that changes what a commit contains. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cleanEnvironment } from '@fleet/process/environment.ts';
import { FleetError } from '@fleet/protocol/errors.ts';

const start = promisify(execFile);
const DEADLINE_MS = 60_000;
const MAX_OUTPUT = 64 * 1024 * 1024;

/** What no repository and no user may set otherwise: equal commits give equal files. */
const FIXED = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.autocrlf=false',
  'core.fileMode=true',
  'core.symlinks=true',
  'gc.auto=0',
  'maintenance.auto=false',
].flatMap((setting) => ['-c', setting]);

export function gitArguments(args: readonly string[]): string[] {
  return ['--no-pager', ...FIXED, ...args];
}

/**
 * `HOME` stays the user's for the keys and helpers that reach a private repository. `ext::` is not among the protocols, because
 * it runs a command, nor are http and git, because what they bring can be changed on its way.
 */
export function gitEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const agent: Record<string, string> =
    process.env.SSH_AUTH_SOCK === undefined ? {} : { SSH_AUTH_SOCK: process.env.SSH_AUTH_SOCK };
  return cleanEnvironment({
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'file:ssh:https',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes',
    ...agent,
    ...extra,
  });
}

/** For what reads commits: the configuration of users and machine has no say in it. */
const OWN_CONFIGURATION = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };

/** What git printed. Throws FleetError `source_failed` with what it complained of; `aborted`. */
export async function git(
  args: readonly string[],
  { signal, env = {}, cwd }: { signal: AbortSignal; env?: Record<string, string>; cwd?: string },
): Promise<string> {
  try {
    const { stdout } = await start('git', gitArguments(args), {
      cwd,
      signal,
      env: gitEnvironment({ ...OWN_CONFIGURATION, ...env }),
      timeout: DEADLINE_MS,
      maxBuffer: MAX_OUTPUT,
    });
    return stdout;
  } catch (cause) {
    if (signal.aborted) throw new FleetError('aborted', 'the build was aborted', { cause });
    const { code, stderr, message } = cause as Error & { code?: unknown; stderr?: string };
    if (code === 'ENOENT') throw noGit(cause);
    const complaint = stderr?.trim() || message;
    throw new FleetError('source_failed', `git ${args[0]} failed: ${complaint}`, { cause });
  }
}

export function noGit(cause?: unknown): FleetError {
  return new FleetError('source_failed', 'git is not installed on the controller’s machine', {
    next: 'Install it, on Debian and Ubuntu by `apt-get install git`.',
    cause,
  });
}
