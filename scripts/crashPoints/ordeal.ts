/** One case: a deployment that is struck at its point, heals, ends by itself and is judged; then one that nothing happens to. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ran, waitUntil } from '../local/program.ts';
import { type Case, HOSTS, LONG_MS } from './cases.ts';
import { judgeEnd, judgePrograms, judgeRest, type Recap } from './judge.ts';
import type { Kept, Scene } from './scene.ts';
import { SERVICE } from './service.ts';

/** A deployment that has not ended by then does not end by itself. */
const DEADLINE_MS = 60_000;
/** What goes on behind a deployment's end, such as removing an old release, has ended by then. */
const REST_MS = 5000;

export interface Verdict {
  case: Case;
  struck: boolean;
  /** From the restart, or the end of the stop or cut, until the deployment had achieved something. Null: nothing was left to do. */
  recoverMs: number | null;
  /** How the deployment ended: `ok`, `not begun`, `unreachable`; with an interrupted hook `interrupted`, or what was decided: `again`, `done`. */
  ended: string;
  /** Empty: all is well. */
  wrong: string[];
}

/** Points that only a deployment passes that has to build. */
const BUILDING = new Set([
  'controller.build_start',
  'controller.artifact_stored',
  'controller.manifest_signed',
]);
/** Events that tell of something achieved. */
const ACHIEVED = new Set(['step.ended', 'build.ended', 'deployment.started', 'deployment.ended']);

export async function undergo(scene: Scene, each: Case): Promise<Verdict> {
  const verdict: Verdict = { case: each, struck: false, recoverMs: null, ended: '', wrong: [] };
  try {
    await strikeAndJudge(scene, each, verdict);
    const log = scene.programLog.length;
    await scene.deployPlainly();
    verdict.wrong.push(...(await settled(() => judgeRest(scene, { succeeded: true }))));
    verdict.wrong.push(...judgePrograms(scene.programLog.slice(log)));
  } catch (error) {
    verdict.wrong.push(error instanceof Error ? error.message : String(error));
  } finally {
    scene.disarm(each.program);
  }
  return verdict;
}

async function strikeAndJudge(scene: Scene, each: Case, verdict: Verdict): Promise<void> {
  const version = BUILDING.has(each.point) ? scene.repository.release() : scene.absent();
  const what = BUILDING.has(each.point) ? ['--ref', `v${version}`] : ['--version', version];
  const before = new Map(HOSTS.map((host) => [host as string, scene.current(host)]));
  const log = scene.programLog.length;
  const { id: last } = await scene.newest();

  scene.arm(each);
  let ran: Ran | undefined;
  const call = scene.fleet.run(['deploy', SERVICE, '--json', ...what]).then((ended) => {
    ran = ended;
  });
  await waitUntil('the point is reached', () => ran !== undefined || scene.isStruck(each.program));
  verdict.struck = scene.isStruck(each.program);
  if (!verdict.struck) throw new Error('the point was not reached');
  const healed = await healFrom(scene, each);
  const end = performance.now() + DEADLINE_MS + each.holdMs;
  while (ran === undefined && performance.now() < end) {
    await Promise.race([call, sleep(200)]);
    if (ran === undefined) await decide(scene, log);
  }
  if (ran === undefined) throw new Error(`the deployment has not ended in ${DEADLINE_MS / 1000} s`);

  const recap = await recapOf(scene, last, ran);
  if (recap === undefined) {
    verdict.ended = 'not begun';
    if (each.point !== 'controller.lock') verdict.wrong.push(`no deployment: ${ran.stderr}`);
    for (const host of HOSTS)
      if (scene.current(host) !== before.get(host)) verdict.wrong.push(`${host} was changed by nobody`);
    return;
  }
  const mayBeInterrupted = each.fault === 'kill' && each.program !== 'controller';
  const decided = recap.interruptions ?? [];
  const interrupted = recap.failure?.code === 'hook_interrupted' || decided.length > 0;
  verdict.ended =
    decided[0]?.decision?.take ??
    (interrupted ? 'interrupted' : recap.exit === 0 ? 'ok' : `exit ${recap.exit}`);
  if (interrupted && !mayBeInterrupted) verdict.wrong.push('a hook was interrupted by nobody');
  // Planned while it was cut off for long: nothing was touched then, which the judge looks at.
  const isCutOff = each.fault === 'cut' && each.holdMs === LONG_MS && recap.failure?.code === 'unreachable';
  if (isCutOff) verdict.ended = 'unreachable';
  else if (recap.exit !== 0 && (!interrupted || decided.length > 0))
    verdict.wrong.push(`exit ${recap.exit}: ${JSON.stringify(recap.failure)}`);
  verdict.wrong.push(
    ...(await judgeEnd(scene, recap, before)),
    ...(await settled(() => judgeRest(scene, { succeeded: recap.exit === 0 }))),
    ...judgePrograms(scene.programLog.slice(log)),
  );
  const connectedAfter = healed.connectedMs;
  verdict.recoverMs = connectedAfter ?? achievedAfter(await scene.events(recap.deployment), healed.at);
}

/**
 * Does what a person does where a deployment waits for one: looks whether the interrupted hook had begun. One that had counts as
 * done, one that had not is run.
 */
async function decide(scene: Scene, log: number): Promise<void> {
  const { id, state } = await scene.newest().catch(() => ({ id: 0, state: 'unknown' }));
  if (state !== 'waiting') return;
  const { stdout } = await scene.fleet.run(['recap', String(id), '--json']);
  const { recap } = JSON.parse(stdout) as { recap: Recap };
  const begun = new Set(scene.programLog.slice(log));
  for (const { host, version, hook, decision } of recap.interruptions ?? []) {
    if (decision !== null) continue;
    const done = begun.has(`begin ${host} ${version} ${hook}`);
    await scene.fleet.run(
      done ? ['skip', String(id), '--host', host] : ['retry', String(id), '--host', host, '--no-wait'],
    );
  }
}

/** Ends what was done to the program, and says when. An agent that was started again says how long it took to report. */
async function healFrom(scene: Scene, each: Case): Promise<{ at: number; connectedMs?: number }> {
  const program = scene.program(each.program);
  const host = each.program.slice('agent-'.length);
  if (each.fault === 'kill') {
    await program.ended;
    if (each.program === 'controller') {
      const at = Date.now();
      await scene.fleet.startController();
      return { at };
    }
    await waitUntil(`${host} is missed`, async () => !(await scene.fleet.isConnected(host)));
    const at = Date.now();
    await scene.fleet.startAgent(host);
    return { at, connectedMs: Date.now() - at };
  }
  if (each.fault === 'stop') {
    await waitUntil(`${each.program} is stopped`, () => stateOf(program.pid) === 'T');
    await sleep(each.holdMs);
    process.kill(program.pid, 'SIGCONT');
    return { at: Date.now() };
  }
  const links = each.program === 'controller' ? [...scene.links.values()] : [scene.links.get(host)!];
  for (const link of links) link.cut();
  rmSync(join(scene.dir, 'points', `${each.program}.struck`));
  await sleep(each.holdMs);
  for (const link of links) link.heal(each.heal);
  return { at: Date.now() };
}

/** What the call printed; where it was cut off before it knew, what the command line says once the deployment has ended. */
async function recapOf(scene: Scene, last: number, ran: Ran): Promise<Recap | undefined> {
  if (ran.stdout.trim() !== '') {
    const recap = JSON.parse(ran.stdout) as Recap;
    if (recap.exit !== ran.code) throw new Error(`exit status ${ran.code}, and the recap says ${recap.exit}`);
    return recap;
  }
  if (ran.code === 0) throw new Error('exit status 0 without a recap');
  const { id } = await scene.newest();
  if (id === last) return undefined;
  const { stdout } = await scene.fleet.run(['attach', String(id), '--json']);
  return JSON.parse(stdout) as Recap;
}

function achievedAfter(events: Kept[], at: number): number | null {
  const first = events.find((each) => each.at >= at && ACHIEVED.has(each.event.type));
  return first === undefined ? null : first.at - at;
}

/** Judges again until nothing is wrong, or what is wrong stays so. */
async function settled(judge: () => Promise<string[]>): Promise<string[]> {
  const end = performance.now() + REST_MS;
  for (;;) {
    const wrong = await judge();
    if (wrong.length === 0 || performance.now() > end) return wrong;
    await sleep(100);
  }
}

/** As `ps` shows it: R, S, T. */
function stateOf(pid: number): string | undefined {
  return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
}
