/** The shape of a benchmark: candidates that do the same work, each compared with the first. */
import { readFile } from 'node:fs/promises';

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

/** One problem size of a benchmark. The first candidate is the baseline of every ratio. */
export interface Case {
  readonly name: string;
  /** Work in one step, for the throughput column, such as 64 `images`. */
  readonly workPerStep: { readonly amount: number; readonly unit: string };
  /** Steps from the initial state after which the result is checked. */
  readonly checkedSteps: number;
  /** Greatest distance from the reference that still counts as correct. */
  readonly tolerance: number;
  /** The relative distance of a result from the reference. */
  distance(result: Float32Array): number;
  readonly candidates: readonly Candidate[];
}

/** A question which candidate is faster: "how long is a gradient step?". */
export interface Benchmark {
  readonly name: string;
  readonly title: string;
  /** Lines of text that say what is and is not measured. */
  readonly method: readonly string[];
  cases(): Promise<readonly Case[]>;
  /** Frees what the cases share, after the last case or a failure. */
  close?(): Promise<void>;
}

/** `specifier` names a package whose entry lies one folder below its package.json. */
export async function packageVersion(specifier: string): Promise<string> {
  const manifest = new URL('../package.json', import.meta.resolve(specifier));
  return (JSON.parse(await readFile(manifest, 'utf8')) as { version: string }).version;
}
