/**
 * The way back of one host, as a pure function of how far it came: to the version that it ran before, smoke tested, and
 * into the balancer again.
 */
import type { Strategy } from '@fleet/config/controller.ts';
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { Outcome } from '@fleet/protocol/words.ts';
import type { HostFacts } from './facts.ts';
import type { StepArgs } from './step.ts';

/** A step that was begun, in order. */
export interface Begun {
  kind: StepKind;
  outcome: Outcome | null;
}

export interface WayBack {
  steps: StepArgs[];
  /** Why there is no way back, where there is none. */
  none: string | null;
}

export function wayBack(host: HostFacts, begun: readonly Begun[], strategy: Strategy): WayBack {
  const failed = begun.at(-1);
  const began = (kind: StepKind) => begun.some((step) => step.kind === kind);
  const { server, prior } = host;

  // The version is verified and only the balancer does not show it: going back would not mend the balancer.
  if (failed?.kind === 'unhide' && failed.outcome === 'failed')
    return { steps: [], none: 'verified, but hidden' };
  // Nobody knows what holds on a host that does not answer, so nothing is done to it.
  if (failed?.outcome === 'unreachable') return { steps: [], none: 'the host does not answer' };

  const show: StepArgs[] =
    server !== null && began('hide') ? [{ kind: 'unhide', server, timeoutMs: strategy.unhide }] : [];
  // What an earlier deployment left hidden has not become well by being hidden once more.
  if (!began('activate') && host.hiddenByFleet)
    return { steps: [], none: 'it was hidden before, and stays so' };
  if (!began('activate')) return { steps: show, none: null };
  if (prior === null) return { steps: [], none: 'there is no version to go back to' };

  // A host that fails its checks serves errors: it goes, however few are left. One that was done well serves users.
  const minVisible = failed?.outcome === 'failed' ? 0 : strategy.min_visible;
  const hideAgain: StepArgs[] =
    server !== null && began('unhide')
      ? [
          { kind: 'hide', server, minVisible },
          { kind: 'drain', server, timeoutMs: strategy.drain, onTimeout: 'go_on' },
        ]
      : [];
  const { version, identity, values } = prior;
  // Where the new version was recorded as verified, it is recorded too that the host has left it.
  const recordAgain: StepArgs[] = began('record') ? [{ kind: 'record', version, identity, values }] : [];
  return {
    steps: [
      ...hideAgain,
      { kind: 'activate', version, identity },
      { kind: 'restart', version, values, lenientStop: true },
      { kind: 'smoke', version, values, skip: [] },
      ...recordAgain,
      ...show,
    ],
    none: null,
  };
}
