/** One controller after the other, on the one database that they share, and what the last one said is held against the next. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FleetConfig } from '@fleet/controller/config/config.ts';
import type { Deployer } from '@fleet/controller/deploy/deployer.ts';
import { computeRecap } from '@fleet/controller/deploy/finish.ts';
import type { Envelope } from '@fleet/protocol/api/events.ts';
import type { Recap } from '@fleet/protocol/api/recap.ts';
import { type Controller, databaseFault, startController } from './controller.ts';
import type { Life } from './life.ts';
import { Network } from './network.ts';
import { SERVICES } from './shelf.ts';
import type { World } from './world.ts';

/** Every commit is synced, which takes most of the time on a disk and none here. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export class Controllers {
  now: Controller | undefined;
  readonly #world: World;
  readonly #config: FleetConfig;
  readonly #dir = mkdtempSync(join(MEMORY, 'fleet-simulated-'));
  /** The newest deployment that anybody has heard of. */
  #known = 0;

  constructor(world: World, config: FleetConfig) {
    this.#world = world;
    this.#config = config;
  }

  async start(): Promise<void> {
    const { balancers, clock, shelf, story } = this.#world;
    const controller = await startController({
      config: this.#config,
      file: join(this.#dir, 'fleet.sqlite'),
      clock,
      files: shelf.files,
      balancer: (name) => balancers.get(name)!,
      network: (life) => this.#network(life),
      beforeWrite: () => this.#beforeWrite(),
      // What a disk or a database says is no fault of the program's own.
      onFault: (message) => {
        if (!/EIO/.test(message)) story.violated('unforeseen', message);
      },
    });
    const { life, store, deployer } = controller;
    story.tell(`controller up, epoch ${store.epoch}`);
    this.now = controller;
    store.events.follow((envelope) => {
      if (!life.over) this.#hear(envelope);
    });
    await this.#compare(controller);
    try {
      await Promise.race([life.act(() => deployer.takeUp()), life.ended]);
      controller.keepRecords();
    } catch (error) {
      // What it cannot take up now its successor does.
      story.tell(`controller ends: ${String(error)}`);
      this.kill(1000);
    }
  }

  /** `kill -9`, and somebody starts it again after a while. */
  kill(backAfterMs: number): void {
    const { now } = this;
    if (now === undefined) return;
    this.now = undefined;
    now.life.end();
    const closed = now.store.close();
    this.#world.clock.after(backAfterMs, () => void closed.then(() => this.start()));
  }

  /** SIGTERM. */
  async park(backAfterMs: number): Promise<void> {
    const { now } = this;
    if (now === undefined) return;
    now.parking.abort();
    await Promise.race([now.deployer.idle(), now.life.ended, this.#world.clock.sleep(30_000)]);
    if (this.now === now) this.kill(backAfterMs);
  }

  async close(): Promise<void> {
    this.now?.life.end();
    await this.now?.store.close();
    rmSync(this.#dir, { recursive: true });
  }

  /** Undefined where it died before it answered, or refused. */
  async ask(
    what: string,
    work: (deployer: Deployer) => Promise<number | string | null>,
  ): Promise<number | string | null | undefined> {
    if (this.now === undefined) return undefined;
    const { recaps, story, unfinished } = this.#world;
    const { deployer, life } = this.now;
    const asking = life.act(() => work(deployer)).catch((error: unknown) => error as Error);
    const answer = await Promise.race([asking, life.ended]);
    story.tell(`${what}: ${answer instanceof Error ? answer.message.replace(/ since \S+/, '') : answer}`);
    if (answer instanceof Error || answer === undefined) return undefined;
    if (typeof answer === 'number') {
      this.#known = Math.max(this.#known, answer);
      if (!recaps.some(({ deployment }) => deployment === answer)) unfinished.add(answer);
    }
    return answer;
  }

  #network(life: Life): Network {
    const { clock, invariants, random, shelf, story, troubles } = this.#world;
    const killSoon = () => {
      if (life.over) return;
      story.fault('controller killed');
      this.kill(random.between(50, 2000));
    };
    return new Network({
      clock,
      random: random.fork(),
      life,
      troubles,
      files: shelf.files,
      watcher: {
        onDelivered: (host, deed) => invariants.onDelivered(host, deed),
        onAnswered: (...args) => invariants.onAnswered(...args),
        onRefused: (...args) => invariants.onRefused(...args),
        onStranded: () => void clock.after(1, killSoon),
        onFault: (kind) => story.fault(kind),
      },
    });
  }

  #hear({ topic, event }: Envelope): void {
    const { invariants, story } = this.#world;
    const deployment = Number(topic.split('/')[1]);
    if (event.type === 'step.ended') {
      const { host, kind, outcome, rescue, message } = event;
      story.tell(`${deployment} ${host} ${kind}${rescue ? ' (going back)' : ''} ${outcome}: ${message}`);
    } else if (event.type === 'note') story.tell(`${deployment} note: ${event.text}`);
    else if (event.type !== 'step.progress') story.tell(`${deployment} ${event.type}`);
    invariants.onEvent(deployment, event);
    if (event.type === 'deployment.ended') this.#ended(event.recap);
  }

  /** What the last controller acknowledged is known to this one. */
  async #compare({ store }: Controller): Promise<void> {
    const { invariants, recaps, story, unfinished } = this.#world;
    const points = await Promise.all(
      SERVICES.map((service) => store.rollbackPoints.list(service, 'production')),
    );
    invariants.told.checkAcknowledged(
      new Set(points.flat().map(({ deployment, host }) => `${deployment} ${host}`)),
    );
    for (const record of (await store.deployments.list({ limit: 20 })).reverse()) {
      const { id, endedAt } = record;
      if (id > this.#known) unfinished.add(id);
      this.#known = Math.max(this.#known, id);
      if (endedAt !== null && unfinished.has(id)) this.#ended(await computeRecap(id, { store }));
      const told = recaps.find(({ deployment }) => deployment === id);
      if (told !== undefined && told.exit !== record.exit)
        story.violated('I12', `deployment ${id} ended with ${told.exit}, and now with ${record.exit}`);
    }
    const newest = (await store.deployments.list({ limit: 1 }))[0]?.id ?? 0;
    if (newest < this.#known) story.violated('I12', `deployment ${this.#known} was acknowledged and is lost`);
  }

  #ended(recap: Recap): void {
    const { invariants, recaps, story, unfinished } = this.#world;
    const { deployment, service, version, exit, state, failure } = recap;
    const why = failure === null ? '' : `, ${failure.host} ${failure.step} ${failure.code}`;
    story.tell(`deployment ${deployment} of ${service} ${version} ended: ${state}, exit ${exit}${why}`);
    unfinished.delete(deployment);
    this.#known = Math.max(this.#known, deployment);
    recaps.push(recap);
    invariants.onEnded(recap);
  }

  #beforeWrite(): void {
    const { database, story } = this.#world;
    if (database.fails === 0) return;
    database.fails--;
    story.fault(database.full ? 'database full' : 'database busy');
    throw databaseFault(database.full);
  }
}
