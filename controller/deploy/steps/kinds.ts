/** Every kind of step and who does it. A kind without a driver does not compile. */
import type { StepKind } from '@fleet/protocol/api/plans.ts';
import type { StepDriver } from '../context.ts';
import { activate } from './activate.ts';
import { drain } from './drain.ts';
import { hide } from './hide.ts';
import { once } from './once.ts';
import { record } from './record.ts';
import { restart } from './restart.ts';
import { settle } from './settle.ts';
import { smoke } from './smoke.ts';
import { stage } from './stage.ts';
import { unhide } from './unhide.ts';

export const STEP_DRIVERS: { [K in StepKind]: StepDriver<K> } = {
  stage,
  once,
  hide,
  drain,
  activate,
  restart,
  smoke,
  unhide,
  settle,
  record,
};
