/** Participants of a comparison: a named candidate, and its implementation of the work after it is opened. */

/** One way to do a case's work, ready to run on one thread. All arrays are float32. */
export interface Implementation {
  readonly version: string;
  /** Notes that explain the figure: engine, threads, form of the program. */
  readonly notes: readonly string[];
  /** Restores the initial state, so that all bursts do the same work. Not timed; absent if a step changes nothing. */
  reset?(): Promise<void>;
  /** Runs `steps` steps and waits for the last. Returns the elapsed milliseconds without its own overhead. */
  run(steps: number): Promise<number>;
  /** The result of the steps since `reset`, as one vector for the case to check. */
  result(): Promise<Float32Array>;
  /** Frees memory and ends processes; absent if there is nothing to free. */
  close?(): Promise<void>;
}

/** An implementation that this machine lacks: `absent` says why and how to get it. */
export interface Absent {
  readonly absent: string;
}

/** A named implementation, opened only when it is measured. */
export interface Candidate {
  readonly name: string;
  open(): Promise<Implementation | Absent>;
}

/** Milliseconds of `steps` calls of `step` in this process, until `settle` resolves: a library may be asynchronous. */
export async function timeSteps(steps: number, step: () => void, settle?: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  for (let index = 0; index < steps; index++) step();
  await settle?.();
  return performance.now() - startedMs;
}
