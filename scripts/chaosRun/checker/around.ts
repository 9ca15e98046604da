/** The record's own lines around a moment, for the person who has to find out. */

import type { TimelineLine } from '../record.ts';
import type { Evidence } from './read.ts';

const LINES = 20;

export function around(evidence: Evidence, at: number): string {
  const { run, timeline, balancer, current, programs } = evidence;
  const told = [
    ...timeline.map((line) => ({ at: line.at, text: tell(line) })),
    ...balancer.map((line) => ({
      at: line.at,
      text:
        line.source === 'log'
          ? `balancer: ${line.text}`
          : `${line.server} is ${line.admin}, ${line.up ? 'up' : 'down'}`,
    })),
    ...current.map((line) => ({
      at: line.at,
      text: `${line.host} current -> ${line.target ?? 'nothing'}${line.there ? '' : ' (not there)'}`,
    })),
    ...programs.map((line) => ({
      at: line.at,
      text: `${line.host} ${line.name} of ${line.version} ${line.event}s (pid ${line.pid})`,
    })),
    ...evidence.database.deployments.flatMap(({ id, version, begun, ended, state, steps }) => [
      { at: begun, text: `deployment ${id} of ${version} is begun` },
      { at: ended, text: `deployment ${id} has ended: ${state}` },
      ...steps.flatMap((step) =>
        step.begun === undefined
          ? []
          : [
              {
                at: step.begun,
                text: `deployment ${id} ${step.kind} on ${step.host}${step.rescue ? ' (going back)' : ''}`,
              },
            ],
      ),
    ]),
  ].sort((a, b) => a.at - b.at);
  const middle = told.findIndex((line) => line.at >= at);
  const from = Math.max(0, (middle === -1 ? told.length : middle) - LINES / 2);
  return told
    .slice(from, from + LINES)
    .filter((line) => Number.isFinite(line.at))
    .map(
      (line) => `    ${((line.at - run.startedAt) / 1000).toFixed(3).padStart(9)} ${line.text.slice(0, 160)}`,
    )
    .join('\n');
}

function tell(line: TimelineLine): string {
  switch (line.kind) {
    case 'fault.begin':
      return `fault ${line.id} begins: ${line.fault}${line.host === null ? '' : ` on ${line.host}`}`;
    case 'fault.end':
      return `fault ${line.id} ends`;
    case 'call.begin':
      return `call ${line.id} begins: ${line.argv.join(' ')}`;
    case 'call.end':
      return `call ${line.id} ends: ${line.killed ? 'killed' : `exit status ${line.exit}`}`;
    case 'quiescent':
      return 'at rest';
    case 'end':
      return 'the end';
  }
}
