/** Where the power was cut, how often, and what held: the page in `docs/`. */
import type { Cut } from './cuts.ts';

export function inMarkdown(cuts: readonly Cut[], { seed, every }: { seed: number; every: number }): string {
  const groups = Map.groupBy(cuts, ({ side, moment, where }) =>
    [side, 'call' in moment ? where : `by chance, ${where.split(', ')[1]}`].join(' | '),
  );
  const rows = [...groups].map(([place, group]) => {
    const held = group.filter(({ faults }) => faults.length === 0).length;
    return `| ${place} | ${group.length} | ${held} |`;
  });
  const acknowledged = cuts.reduce((sum, cut) => sum + cut.acknowledged, 0);
  const broken = cuts.filter(({ faults }) => faults.length > 0).length;
  return `# Power cuts

Written by \`./scripts/power-cuts --write\`. One of the two disks, the host's or the controller's, is an ext4 of its own, which
is stopped in the middle of a deployment without writing its log. Whoever used it is killed, it is mounted again, and looked at
before anything is started: \`current\` leads to a complete release, all that was noted can be read, the database is whole, and
everything that had been acknowledged (builds, deployments, steps, rollback points, epochs) is there. Then the program is started again: the
deployment ends by itself, staging is empty, and the next one succeeds.

${cuts.length} cuts (seed ${seed}), ${broken} with something that did not hold. ${acknowledged} things that were acknowledged before a cut were looked for after it.

The power was cut just before ${every === 1 ? 'each of these calls' : `every ${every}. of these calls`} was carried out, and at moments by chance:

| side | where | cuts | held |
|---|---|--:|--:|
${rows.join('\n')}
`;
}
