/** What was going on around a moment: which faults, whose deployment. */
import type { FaultKind } from '../record.ts';
import type { Deployment } from './database.ts';
import type { Evidence } from './read.ts';

/**
 * The record's witnesses look often, but not always, and the database has its own moments: two of them are only called
 * apart where they are further apart than this, in milliseconds.
 */
export const SLACK = 300;

/** A peer that is lost is noticed within 20 s, and then has to find its way back. */
const NOTICED = 30_000;
/** HAProxy's own health check needs this long to see a server that has gone, and prober and server to end what was open. */
const HEALTH = 5_000;

const CUTS_OFF: ReadonlySet<FaultKind> = new Set([
  'agent.kill',
  'agent.stop',
  'agent.freeze',
  'host.reboot',
  'link.cut',
  'link.oneway',
  'link.reset',
  'link.loss',
  'link.slow',
  'link.flap',
]);
/** A controller that stood still has lost them all. One that is started waits for its agents, so that is no excuse. */
const CUTS_OFF_ALL: ReadonlySet<FaultKind> = new Set(['controller.freeze']);
/** Whether a fault kept this host from answering its controller at some moment between. */
export function wasHeld({ faults }: Evidence, host: string, from: number, to: number): boolean {
  return faults.some(
    (fault) =>
      fault.from <= to &&
      fault.to >= from - NOTICED &&
      (CUTS_OFF_ALL.has(fault.fault) ||
        (CUTS_OFF.has(fault.fault) && (fault.host === host || fault.host === null))),
  );
}

/** Whether a fault kept this host's users from their answers at some moment between; any host's where it is null. */
export function wasHarmed({ faults }: Evidence, host: string | null, from: number, to: number): boolean {
  return faults.some(
    (fault) =>
      !fault.harmless &&
      fault.from <= to &&
      fault.to >= from - HEALTH &&
      (host === null || fault.host === null || fault.host === host),
  );
}

export function wasFaulty(
  { faults }: Evidence,
  kinds: readonly FaultKind[],
  from: number,
  to: number,
): boolean {
  return faults.some((fault) => kinds.includes(fault.fault) && fault.from <= to && fault.to >= from);
}

/** Its own recap, or its steps, say that nobody knew what held there: a command may have come through late. */
export function wasLost(deployment: Deployment, host: string): boolean {
  return (
    deployment.hosts.some((each) => each.host === host && each.report?.known === false) ||
    deployment.steps.some((step) => step.host === host && step.outcome === 'unreachable')
  );
}

/** The deployments that may have caused something on a host at this moment: the one at work, and those that lost it before. */
export function answerable({ database }: Evidence, host: string, at: number): Deployment[] {
  return database.deployments.filter(
    (each) =>
      each.hosts.some((own) => own.host === host) &&
      each.begun - SLACK <= at &&
      (at <= each.ended + SLACK || wasLost(each, host)),
  );
}

/** The one deployment at work at a moment, if there is one. */
export function atWork({ database }: Evidence, at: number): Deployment | undefined {
  return database.deployments.findLast((each) => each.begun - SLACK <= at && at <= each.ended + SLACK);
}
