import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { FleetError } from '@fleet/protocol/errors.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { formatBytes } from '../print/bytes.ts';
import { encodeJson } from '../print/escape.ts';
import { reachController } from '../reach.ts';

export function define(command: Command, cli: Cli): void {
  command
    .argument('<file>', 'what fleet build --sign-key has written')
    .addOption(reach())
    .addOption(json())
    .action(async (file: string, options: Reporting) => {
      const found = await stat(file).catch(() => undefined);
      if (!found?.isFile())
        throw new FleetError('bad_request', `there is no file ${file}`, {
          next: 'fleet build SERVICE --sign-key FILE writes one',
        });
      const reply = await reachController(cli, options).upload('releases.push', createReadStream(file));
      if (options.json) return cli.out.print(encodeJson(reply));
      const { service, version, size } = reply.release;
      cli.out.print(`${service} ${version}: ${reply.added ? formatBytes(size) : 'was there already'}`);
      cli.out.print(`next: fleet deploy ${service} --version ${version}`);
    });
  addExamples(
    command,
    ['fleet push segmenter-1.5.0.fleet', 'fleet push segmenter-1.5.0.fleet --json'],
    `The controller takes it where a key that may sign has signed it, and only then reads the artifact.

Exit status: 0 it is there, 1 it is refused (not_signed, below_floor, bad_archive), 2 wrong use, or a version that exists with
other content, 3 the token does not reach this far, 4 the controller does not answer`,
  );
}
