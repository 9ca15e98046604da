/** What goes wrong on the way to a host says which host it was. */
import { asFleetError, FleetError } from '@fleet/protocol/errors.ts';

export function unreachable(host: string, cause?: unknown): FleetError {
  return new FleetError('unreachable', `${host} is not connected`, {
    next: `Start its agent (\`fleet agent\` on ${host}); \`fleet hosts\` shows who is connected.`,
    data: { host },
    cause,
  });
}

export function nameInUse(host: string): FleetError {
  return new FleetError('name_in_use', `another agent is connected under the name ${host}`, {
    next: 'Give one of the two another name (`host:` in its agent.yaml), or stop the other one; `fleet hosts` shows who is connected.',
    data: { host },
  });
}

/** The certificate says who it is. */
export function otherHost(host: string, said: string): FleetError {
  return new FleetError('not_enrolled', `the agent with the certificate of ${host} says that it is ${said}`, {
    next: `take \`host: ${said}\` out of its agent.yaml; for another name: fleet hosts forget ${host}, then join anew`,
    data: { host },
  });
}

export function stopping(): FleetError {
  return new FleetError('stopping', 'the controller is stopping');
}

/** Errors of the link know no host; those of the agent speak for themselves, and get it as a fact. */
export async function withHost<T>(host: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    const error = asFleetError(thrown);
    const ofLink = error.code === 'link_lost' || error.code === 'timeout' || error.code === 'transfer_failed';
    throw new FleetError(error.code, ofLink ? `${host}: ${error.message}` : error.message, {
      next: error.next,
      data: { ...error.data, host },
      cause: error,
    });
  }
}
