/** Refuses what could not be done without leaving users fewer hosts than min_visible. */
import type { Gate } from './gate.ts';

export const minVisible: Gate = {
  name: 'min_visible',
  async refuses({ service, environment, strategy, hasBalancer, hosts, hiddenTogether }) {
    const left = hosts - hiddenTogether;
    if (!hasBalancer || hiddenTogether === 0 || left >= strategy.min_visible) return undefined;
    const together = hiddenTogether === 1 ? 'hiding one of' : `hiding ${hiddenTogether} together of`;
    return {
      code: 'min_visible',
      message: `${together} ${hosts === 1 ? 'one host' : `${hosts} hosts`} of ${service} in ${environment} leaves ${left} visible, and min_visible is ${strategy.min_visible}`,
      next:
        hosts === 1
          ? `a one-host environment says that it may be hidden; write for ${service} in ${environment} in controller.yaml:\nstrategy: { min_visible: 0 }`
          : `take smaller batches (--serial), or write for ${service} in ${environment} in controller.yaml:\nstrategy: { min_visible: ${left} }`,
    };
  },
};
