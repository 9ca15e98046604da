import type { FaultKind } from '../record.ts';

/** Something that breaks, and is mended again. */
export interface Fault {
  kind: FaultKind;
  /** Null where it is the controller's. */
  host: string | null;
  /** Users may not notice it. */
  harmless: boolean;
  /** What it takes: two faults that want the same are not held together. */
  takes: string[];
  begin(): void | Promise<void>;
  end(): void | Promise<void>;
}
