/** What takes part in a comparison: a named candidate, and its implementation of the work once that is open. */

/** One way to do a case's work, ready to run on one thread. All arrays are float32. */
export interface Implementation {
  readonly version: string;
  /** What explains the figure: engine, threads, the form of the program. */
  readonly notes: readonly string[];
  /** Restores the initial state, so that every burst does the same work. Not timed; absent where a step changes nothing. */
  reset?(): Promise<void>;
  /** Does `steps` steps and waits for the last. Returns the milliseconds that took, its own overhead excluded. */
  run(steps: number): Promise<number>;
  /** The result of the steps since `reset`, as one vector that the case can check. */
  result(): Promise<Float32Array>;
  /** Frees memory and ends processes; absent where there is nothing to free. */
  close?(): Promise<void>;
}

/** This machine lacks an implementation: `absent` says why and how to get it. */
export interface Absent {
  readonly absent: string;
}

/** An implementation by name, opened only when it is measured. */
export interface Candidate {
  readonly name: string;
  open(): Promise<Implementation | Absent>;
}

/** Milliseconds of `steps` calls of `step` in this process, until `settle` resolves: a library may still be computing. */
export async function timeSteps(steps: number, step: () => void, settle?: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  for (let index = 0; index < steps; index++) step();
  await settle?.();
  return performance.now() - startedMs;
}
