/** What a question measures: one way to do its work, and how such a way comes to be or says that it cannot. */

/** One implementation of a case's work, ready to run on one thread. All arrays are float32. */
export interface Contender {
  /** Version of the library that does the work. */
  readonly version: string;
  /** What a reader must know to judge the figure: engine, threads, the form of the program. */
  readonly notes: readonly string[];
  /** Puts the initial state back, so that every burst does the same work. Not timed. */
  reset(): Promise<void>;
  /** Does `steps` steps and waits until the last has ended. Returns the milliseconds that took, its own overhead excluded. */
  run(steps: number): Promise<number>;
  /** What the steps since `reset` have made, as one vector that the case can judge. */
  result(): Promise<Float32Array>;
  /** Gives back memory and processes. */
  close(): Promise<void>;
}

/** A contender that this machine lacks: `reason` is a sentence that says why and how to get it. */
export interface Absent {
  readonly absent: string;
}

/** A contender by name, opened only when it is measured. */
export interface Entrant {
  readonly name: string;
  open(): Promise<Contender | Absent>;
}

/** Times `step` in this process: the clock stops when `settle` says that the work is done. */
export async function timeSteps(steps: number, step: () => void, settle: () => Promise<void> | void): Promise<number> {
  const startedMs = performance.now();
  for (let index = 0; index < steps; index++) step();
  await settle();
  return performance.now() - startedMs;
}
