/** A gate says whether a deployment may begin now. It is asked before anything is touched, and names what would open it. */
import type { Strategy } from '@fleet/config/controller.ts';
import type { Code } from '@fleet/protocol/errors.ts';

export interface GateInput {
  service: string;
  environment: string;
  strategy: Strategy;
  hasBalancer: boolean;
  /** Hosts of the environment, and those of them that would be hidden at the same time, at most. */
  hosts: number;
  hiddenTogether: number;
}

export interface Refusal {
  code: Code;
  message: string;
  next?: string | undefined;
}

export interface Gate {
  name: string;
  /** Undefined: open. */
  refuses(input: GateInput): Promise<Refusal | undefined>;
}
