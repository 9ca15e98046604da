/** In the bundle of the command line, what stands in the place of programs that another bundle has. */
import { FleetError } from '@fleet/protocol/errors.ts';

export async function main(): Promise<void> {
  throw new FleetError('bad_request', 'this is the command line alone, without controller and agent', {
    next: 'unpack fleet-controller-VERSION-PLATFORM.tar.gz on the controller’s machine; fleet hosts add puts the agent on hosts',
  });
}
