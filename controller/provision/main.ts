/** `fleet hosts add` and `fleet hosts clean`: programs of the operator's own machine, of which the controller sees its API asked. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { STOPPED_WATCHING } from '@fleet/cli/cli.ts';
import { openChannel } from '@fleet/cli/print/channel.ts';
import { encodeJson } from '@fleet/cli/print/escape.ts';
import pLimit from 'p-limit';
import { adding } from './adding.ts';
import { cleaning } from './cleaning.ts';
import { ADD_HELP, CLEAN_HELP, readFlags } from './flags.ts';
import { openOperator } from './operator.ts';
import { documentOf, emptyReport, exitOf, printReports, sayingOf } from './tell.ts';

/** Hosts at the same time with -P. */
const MOST = 8;

/** `argv`: `add` or `clean` first. Sets process.exitCode. Throws `bad_request`, and what the controller says. */
export async function main([verb = '', ...argv]: string[]): Promise<void> {
  const which = verb === 'clean' ? 'clean' : 'add';
  const flags = readFlags(which, argv);
  if (flags.help) {
    process.stdout.write(`${which === 'add' ? ADD_HELP : CLEAN_HELP}\n`);
    return;
  }
  const since = performance.now();
  const channel = openChannel(flags.json ? process.stderr : process.stdout, process.env);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  const dir = mkdtempSync(join(tmpdir(), 'fleet-hosts-'));
  try {
    const operator = await openOperator(flags, channel, stop.signal);
    const work = await (which === 'add' ? adding(flags, operator, dir) : cleaning(flags, operator));
    const width = Math.max(...flags.hosts.map(({ host }) => host.length));
    const limit = pLimit(flags.parallel ? MOST : 1);
    const reports = await Promise.all(
      flags.hosts.map((named) =>
        limit(async () => {
          const report = emptyReport(named);
          await work.each(named, report, sayingOf(channel, report, width));
          return report;
        }),
      ),
    );
    const ms = performance.now() - since;
    const exit = stop.signal.aborted ? STOPPED_WATCHING : exitOf(reports);
    printReports(channel, work.title, reports, ms);
    if (flags.json) process.stdout.write(`${encodeJson(documentOf(work.title, reports, ms, exit))}\n`);
    process.exitCode = exit;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
