/** What passes between the coordinator and its workers, reported as it happens; the rules do not depend on it. */
export type Trace =
  /** A worker was sent the last thing that it needs to begin a shard of the step. */
  | { readonly type: 'asked'; readonly workerId: string; readonly step: number; readonly atMs: number }
  /** A valid gradient arrived, wanted or not. */
  | {
      readonly type: 'answered';
      readonly workerId: string;
      readonly step: number;
      /** When it had been decoded from its frame. */
      readonly arrivedAtMs: number;
      /** When it had been checked and added. */
      readonly atMs: number;
      readonly count: number;
      /** As the worker reports it, like `turnaroundMs`. */
      readonly computeMs: number;
      readonly turnaroundMs: number | undefined;
    }
  /** The step's sum is complete; its optimizer step follows. */
  | { readonly type: 'whole'; readonly step: number; readonly atMs: number };
