/** `fleet agent doctor`: what can be found on this host when there is no link to ask over. */
import { asFleetError } from '@fleet/protocol/errors.ts';
import { bad, type Finding, ok, worst } from '@fleet/protocol/finding.ts';
import { type AgentSettings, readSettings } from '../config/config.ts';
import { examine } from './examine.ts';

const HELP = `Usage: fleet agent doctor [--config agent.yaml] [--json]

Looks at this host from its own end, and changes nothing: configuration, certificate, the way to both ports of the controller
and its TLS, clock, disks, units, rights of the agent's user. For when fleet doctor says that the host is not connected.

  --config FILE   agent.yaml, as the agent has it
  --data DIR      the agent's data directory, where no file says it
  --json          one JSON document
  -h, --help      this text

Examples:
  $ fleet agent doctor --config /etc/fleet/agent.yaml
  $ fleet agent doctor --config /etc/fleet/agent.yaml --json

Exit status: 0 all is well, or will soon not be (warn), 1 something is bad, 2 wrong use`;

export async function main(argv: string[]): Promise<void> {
  const given = argv.filter((word) => word !== '--json');
  const findings: Finding[] = [];
  const settings = await readSettings(given).catch((error: unknown) => {
    const { code, message, next } = asFleetError(error);
    if (code === 'bad_request') throw error;
    findings.push(bad('configuration', message, next ?? 'fleet agent --help shows the form'));
    return undefined;
  });
  if (settings === 'help') {
    process.stdout.write(`${HELP}\n`);
    return;
  }
  if (settings !== undefined) findings.push(...about(settings), ...(await examine(settings, 'here')));
  print(findings, argv.includes('--json'));
  if (worst(findings) === 'bad') process.exitCode = 1;
}

function about({ host, joined, controller }: AgentSettings): Finding[] {
  return joined === undefined ? [] : [ok('host', `${host}, of the fleet at ${controller}`)];
}

function print(findings: Finding[], json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
    return;
  }
  const width = Math.max(...findings.map((each) => each.about.length));
  for (const { level, about, says, next } of findings) {
    process.stdout.write(`${level.padEnd(4)}  ${about.padEnd(width)}  ${says}\n`);
    if (next !== null) process.stdout.write(`${' '.repeat(width + 8)}next: ${next}\n`);
  }
}
