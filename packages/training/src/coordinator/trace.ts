/** What passes between the coordinator and its workers, told as it happens; the rules do not depend on who listens. */
export type Trace =
  /** A worker was sent the last thing that it needed to begin a shard of the step. */
  | { readonly type: 'asked'; readonly workerId: string; readonly step: number; readonly atMs: number }
  /** A valid gradient came, wanted or not. */
  | {
      readonly type: 'answered';
      readonly workerId: string;
      readonly step: number;
      /** When it was out of its frame. */
      readonly arrivedAtMs: number;
      /** When it had been checked. */
      readonly atMs: number;
      readonly count: number;
      /** Both as the worker says. */
      readonly computeMs: number;
      readonly turnaroundMs: number | undefined;
    }
  /** The step's sum is whole; its optimizer's step follows. */
  | { readonly type: 'whole'; readonly step: number; readonly atMs: number };
