/** Runs the verbs that come as lines of JSON in base64 on stdin, and tells for each how it ended and what it printed. */
import { createInterface } from 'node:readline';
import { runVerb } from '@fleet/cli/run.ts';
import { VERBS } from '@fleet/cli/verbs.ts';

const write = process.stdout.write.bind(process.stdout);
let printed = '';
for (const stream of [process.stdout, process.stderr])
  stream.write = ((text: string | Uint8Array) => {
    printed += text.toString();
    return true;
  }) as typeof stream.write;

for await (const line of createInterface({ input: process.stdin })) {
  printed = '';
  const exit = await runVerb(JSON.parse(Buffer.from(line, 'base64').toString()) as string[], VERBS);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal);
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error');
  write(`${Buffer.from(JSON.stringify({ exit, printed })).toString('base64')}\n`);
}
