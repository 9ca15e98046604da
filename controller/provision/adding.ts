/** `fleet hosts add`, for each host: looked at, planned, done. */
import { X509Certificate } from 'node:crypto';
import type { Client } from '@fleet/cli/client.ts';
import { loginOf, reachController } from '@fleet/cli/reach.ts';
import type { ProfileShown } from '@fleet/protocol/api/profiles.ts';
import { FleetError } from '@fleet/protocol/errors.ts';
import { type Labels, OWN } from '@fleet/protocol/words.ts';
import { keyIdOf } from '@fleet/trust/keys.ts';
import type { Act } from './acts.ts';
import type { Target } from './connection.ts';
import type { Flags } from './flags.ts';
import { takeInventory } from './inventory.ts';
import { joiningOf } from './joining.ts';
import type { Operator } from './operator.ts';
import { overSsh } from './overSsh.ts';
import { perform } from './perform.ts';
import { type Known, plan } from './plan.ts';
import { Shelf } from './programs.ts';
import type { Root } from './root.ts';
import { platformOf, requireFit, type Survey, surveyHost } from './survey.ts';
import type { Report, Saying } from './tell.ts';
import { questionsOf, wantedOf } from './wanted.ts';
import type { Work } from './work.ts';

/** `more`: labels besides the profile's. Throws `bad_request`, `unknown_profile`, and whatever else keeps every host from being added. */
export async function adding(
  flags: Flags,
  operator: Operator,
  dir: string,
  more: Labels = {},
): Promise<Work> {
  // Also when it is stopped: what a host that is at work leaves has to be taken back.
  const stopped = new AbortController().signal;
  const client = reachController({ environment: process.env, stopped }, flags);
  const login = loginOf(process.env);
  if (!client.controller.startsWith('https:') || login === undefined)
    throw new FleetError('bad_request', `hosts cannot join at ${client.controller}: it is plain`, {
      next: 'fleet login first; a controller in development asks nobody who they are',
    });
  const name = flags.profile ?? '';
  const profile = await client.call('profiles.show', { params: { profile: name } });
  const aheadMs = Date.parse(profile.now) - Date.now();
  const url = flags.url ?? profile.controller ?? client.controller;
  refuseLoopback(url);
  const shelf = new Shelf(client, login.root, dir);
  return {
    title: `hosts add ${name}${flags['dry-run'] ? ', a dry run' : ''}`,
    async each(named, report, saying) {
      const target = {
        ...named,
        port: flags.port ?? profile.ssh.port,
        user: flags.user ?? profile.ssh.user,
      };
      await overSsh(target, operator, report, (root) =>
        addHost(root, target, {
          client,
          ca: login.ca,
          profile,
          url,
          labels: { ...profile.labels, ...more },
          aheadMs,
          shelf,
          operator,
          flags,
          report,
          saying,
        }),
      );
      report.failure = withNext(report.failure, againOf(target, flags));
    },
  };
}

interface Adding {
  client: Client;
  /** The authority's certificate, PEM. */
  ca: string;
  profile: ProfileShown;
  /** That it gets with its token. */
  labels: Labels;
  /** The controller, as hosts reach it. */
  url: string;
  /** Milliseconds that the controller's clock is ahead of this machine's. */
  aheadMs: number;
  shelf: Shelf;
  operator: Operator;
  flags: Flags;
  report: Report;
  saying: Saying;
}

/** From a bare machine to one of the fleet; or, of one that is, what differs put right. */
async function addHost(root: Root, target: Target, on: Adding): Promise<FleetError | undefined> {
  const { client, profile, url, aheadMs, shelf, report, saying, operator } = on;
  const { host } = target;
  const controller = { url, agentsPort: profile.agentsPort, aheadMs };
  const survey = await surveyHost(root, controller, Date.now);
  requireFit(host, survey, controller);
  const platform = platformOf(host, survey);
  saying.line('reached', `${target.user}@${target.address}, ${survey.os} ${survey.version}, ${platform}`);

  const programs = await shelf.programsFor(platform);
  const wanted = wantedOf(host, profile, programs);
  const inventory = await takeInventory(root, questionsOf(wanted));
  const { acts, held, notes } = plan(inventory, wanted, await knownOf(client, host, on.ca));
  refuseWithoutApt(host, survey, acts);
  report.held = held + 1;
  report.notes.push(...notes);
  report.running = inventory.programs.get(OWN.agent)?.current ?? null;
  if (on.flags['dry-run']) {
    for (const act of acts) saying.would(act);
    return undefined;
  }
  const failure = await perform(acts, {
    ...{ root, shelf, target, tell: saying, signal: operator.stopped, sent: report.sent },
    // Where it was reached is where a balancer finds it, unless the profile knows better.
    joining: joiningOf({ client, host, labels: { address: target.address, ...on.labels }, url }),
    admitHook: (argv) => operator.admitHook(host, argv),
  });
  if (failure === undefined && puts(acts)) report.running = programs.agent.version;
  return failure;
}

function refuseLoopback(url: string): void {
  if (!/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname)) return;
  throw new FleetError('bad_request', `no host reaches the controller at ${url}: that is each host itself`, {
    next: 'say where they do: --url https://10.0.0.1:7300, or `controller` in the profile; and `listen` of controller.yaml has to be reachable there',
  });
}

/** Throws `unfit_host`. */
function refuseWithoutApt(host: string, { apt, os }: Survey, acts: readonly Act[]): void {
  if (apt || !acts.some(({ kind }) => kind === 'package')) return;
  throw new FleetError('unfit_host', `${host} is a ${os}, and packages are installed with apt-get alone`, {
    next: 'install them by hand, and take them out of the profile; or take a Debian or Ubuntu',
    data: { host },
  });
}

async function knownOf(client: Client, host: string, ca: string): Promise<Known> {
  const identities = await client.call('identities.list', {});
  const hosts = await client.call('hosts.list', {});
  return {
    ca: keyIdOf(new X509Certificate(ca).publicKey),
    identity: identities.find(
      (each) => each.host === host && (each.state === 'active' || each.state === 'waiting'),
    ),
    connected: hosts.some((each) => each.host === host && each.connected),
  };
}

/** What is in place stays, so the same command goes on. */
function againOf({ host, address, user, port }: Target, flags: Flags): string {
  const where = host === address ? host : `${host}=${address}`;
  const login = `${flags.user ? ` --user ${user}` : ''}${flags.port ? ` --port ${port}` : ''}`;
  return `again, when it is mended; what is in place stays: fleet hosts add -p ${flags.profile} ${where}${login}`;
}

function withNext(failure: FleetError | undefined, next: string): FleetError | undefined {
  if (failure === undefined || failure.next !== undefined) return failure;
  const { code, message, data, cause } = failure;
  return new FleetError(code, message, { next, data, cause });
}

function puts(acts: readonly Act[]): boolean {
  return acts.some((act) => act.do.by === 'program' && act.do.program.service === OWN.agent);
}
