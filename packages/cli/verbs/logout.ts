import { rmSync } from 'node:fs';
import { loginPath } from '@fleet/trust/login.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples } from '../flags.ts';

export function define(command: Command, cli: Cli): void {
  command.action(() => {
    const path = loginPath(cli.environment);
    rmSync(path, { force: true });
    cli.out.print(`logged out: ${path} is gone`);
    cli.out.print('the token itself is still good: fleet people revoke NAME ends it');
  });
  addExamples(command, ['fleet logout', 'fleet logout && fleet login < login-string']);
}
