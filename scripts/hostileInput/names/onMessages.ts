/** Bad names in every text of every message: to an agent, and in the hello to a controller. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asFleetError } from '@fleet/protocol/errors.ts';
import { AGENT_METHODS, type AgentMethods, CONTROLLER_METHODS } from '@fleet/protocol/messages/methods.ts';
import { serviceName } from '@fleet/protocol/words.ts';
import { EvilAgent, plainHello } from '../../../test/fixtures/evilAgent.ts';
import type { AgentProgram } from '../agentProgram.ts';
import type { FleetProgram } from '../fleetProgram.ts';
import type { Part } from '../part.ts';
import { changesBetween } from '../survey.ts';
import { namePath, sampleOf, textsOf, withText } from './fields.ts';

/** Fewer a second than a session allows its peer, in milliseconds between two: what is tried here is names, not floods. */
const PACE_MS = 6;
const DIGEST = 'a'.repeat(64);

export async function badNamesToAgents(
  part: Part,
  agent: AgentProgram,
  names: readonly string[],
): Promise<void> {
  const { controller } = agent;
  const harmless = new Set(['absent', ...names.filter((name) => serviceName.safeParse(name).success)]);
  // A service that a release was offered for has its folder, under its own name and with nothing in it.
  const look = () => agent.look((path) => harmless.has(path.split('/')[1] ?? ''));
  const before = look();
  for (const [method, { request }] of Object.entries(AGENT_METHODS))
    for (const path of textsOf(request))
      for (const [number, bad] of names.entries()) {
        const known = {
          ...{
            command: { ...controller.command(), why: 'test' },
            service: 'absent',
            version: '9.9.9',
            name: 'x',
          },
          ...{ identity: DIGEST, sha256: DIGEST, size: 1, keep: 2, compression: 'zstd' },
        };
        const body = withText(sampleOf(request, known), path, bad);
        await sleep(PACE_MS);
        const ended = await ask(agent, method, body);
        part.count(`${method}: ${ended}`);
        if (ended === 'internal' || ended === 'link_lost')
          part.fault(`${method} ${namePath(path)} = ${JSON.stringify(bad)} ended with ${ended}`);
        if (number % 100 === 0)
          for (const complaint of [await agent.complaint()])
            if (complaint !== undefined) part.fault(complaint);
      }
  for (const change of changesBetween(before, look())) part.fault(change);
}

async function ask({ controller }: AgentProgram, method: string, body: unknown): Promise<string> {
  return controller.ask(method as keyof AgentMethods, body as never).then(
    () => 'answered',
    (error: unknown) => asFleetError(error).code,
  );
}

export async function badNamesInHello(
  part: Part,
  program: FleetProgram,
  names: readonly string[],
): Promise<void> {
  const before = program.state();
  for (const path of textsOf(CONTROLLER_METHODS.hello.request))
    for (const bad of names) {
      const evil = await new EvilAgent(program.agentUrl, {}).opened();
      const services = [{ service: 'web', current: '1.0.0', releases: ['1.0.0'] }];
      evil.hello(withText({ ...plainHello(), services, epochs: {} }, path, bad) as Record<string, unknown>);
      const answer = await evil.answerTo(1);
      part.count(
        `hello: ${typeof answer === 'string' ? 'closed' : answer.type === 'error' ? answer.error.code : 'taken as text'}`,
      );
      if (typeof answer !== 'string' && answer.type === 'error' && answer.error.code === 'internal')
        part.fault(`hello ${namePath(path)} = ${JSON.stringify(bad)}: ${answer.error.message}`);
      evil.close();
      await evil.closed;
    }
  for (const change of program.changesSince(before)) part.fault(`hello: ${change}`);
}
