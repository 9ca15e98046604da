import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExamples, json, type Reporting, reach } from '../flags.ts';
import { formatBytes } from '../print/bytes.ts';
import { formatMoment } from '../print/duration.ts';
import { encodeJson, oneLine } from '../print/escape.ts';
import { layOut } from '../print/table.ts';
import { reachController } from '../reach.ts';

export function define(command: Command, cli: Cli): void {
  command
    .argument('[service]')
    .addOption(reach())
    .addOption(json('print the controller’s reply as one JSON document; it has the release notes too'))
    .action(async (service: string | undefined, options: Reporting) => {
      const releases = await reachController(cli, options).call('releases.list', { query: { service } });
      if (options.json) return cli.out.print(encodeJson(releases));
      if (releases.length === 0)
        cli.out.print(`nothing has been built yet: fleet build ${service ?? 'SERVICE'}`);
      const rows = releases.map((release) => [
        release.service,
        release.version,
        formatMoment(release.builtAt),
        formatBytes(release.size),
        oneLine(release.ref),
        release.commit?.slice(0, 10) ?? '-',
        release.runs.length > 0 ? `runs on ${release.runs.map(oneLine).join(', ')}` : '',
      ]);
      for (const line of layOut(rows)) cli.out.print(line);
    });
  addExamples(command, ['fleet releases', 'fleet releases segmenter --json']);
}
