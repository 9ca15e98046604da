/** docs/errors.md: every code, by the exit status that it gives. */
import { CODES } from '@fleet/protocol/errors.ts';

/** In the order in which they are told. */
const EXITS: ReadonlyArray<[exit: number, title: string]> = [
  [2, 'Wrong use or configuration'],
  [3, 'Refused, nothing changed'],
  [4, 'No controller'],
  [1, 'Something failed'],
];

export function errors(): string {
  const codes = Object.entries(CODES);
  const sections = EXITS.flatMap(([exit, title]) => [
    `## ${title}: exit status ${exit}`,
    [
      '| Code | Means | HTTP |',
      '| --- | --- | --- |',
      ...codes
        .filter(([, code]) => code.exit === exit)
        .map(([name, { means, http }]) => `| \`${name}\` | ${means} | ${http} |`),
    ].join('\n'),
  ]);
  return ['# Error codes', INTRODUCTION, ...sections].join('\n\n');
}

const INTRODUCTION = `Every error that reaches a person has one of these codes, a message that names the thing, and mostly
a line \`next:\` that says what to do. Programs find the same in the body of an HTTP reply and, for a deployment that
ended, in \`recap.failure\` of \`fleet recap 42 --json\`.

The exit status here is that of a command which ends with the error. A deployment that has begun ends with the status of
its recap instead: see [exit statuses](exit-statuses.md).`;
