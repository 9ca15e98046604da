/** docs/configuration.md: the three files that people write, every key of them. */
import { FILES, type FileName } from '@fleet/config/files.ts';
import { reference } from '@fleet/config/reference.ts';

export function configuration(): string {
  const names = Object.keys(FILES) as FileName[];
  return ['# Configuration', INTRODUCTION, ...names.map(section)].join('\n\n');
}

/** One level deeper than the page that it was. */
function section(name: FileName): string {
  return reference(name).replace(/^#/gm, '##').trim();
}

const INTRODUCTION = `People write three files. \`fleet init\` writes each of them with every key and a comment on it, to start
from; \`fleet config check\` finds every mistake in them, with line and column; \`fleet config schema fleet.yaml\` prints a
JSON Schema for editors. An unknown key is an error. In \`fleet.yaml\`, \`\${NAME}\` as a whole value is a variable that the file
declares, or VERSION; in \`controller.yaml\`, \`{host}\` and \`{label.NAME}\` are the host's own. Nothing else is substituted.
Below, NAME stands for a name of your own.

| File | Lies | Says |
| --- | --- | --- |
| [\`fleet.yaml\`](#fleetyaml) | in the service's repository | how a version is built, run and checked; it is sealed into each version |
| [\`controller.yaml\`](#controlleryaml) | beside the controller | which services and environments there are, and on which hosts |
| [\`agent.yaml\`](#agentyaml) | on each host | the host's name, its labels, where releases go |

The controller reads \`controller.yaml\` when it starts. A deployment keeps to the strategy that it was planned with, whatever the
file says by then.`;
