/** The functions that Node calls in the page of the benchmark `page`. */
import type { Absent } from '../harness/candidate.ts';
import type { MnistStep } from '../workloads/mnist-step.ts';

/** The parts of the work that can be sent to the page. */
export type PageWork = Pick<MnistStep, 'batchSize' | 'batches' | 'initial'>;

export type PageCandidate = `${'lockstep' | 'TensorFlow.js'} ${'webgl' | 'webgpu'}`;

export interface Described {
  /** Undefined for Lockstep, whose version is known to Node. */
  readonly version: string | undefined;
  readonly notes: readonly string[];
}

/** Computes one gradient after another, each read back, at the initial parameters of 784-128-10. */
export interface PageGradient extends Described {
  /** Makes this backend the library's active one. */
  activate?(): Promise<void>;
  /** The gradient of the mean loss of batch `index`, read back, one array per parameter in model order. */
  step(index: number): Promise<readonly Float32Array[]>;
  close(): void;
}

export interface PageBench {
  open(name: PageCandidate, work: PageWork): Promise<Described | Absent>;
  reset(name: PageCandidate): Promise<void>;
  run(name: PageCandidate, steps: number): Promise<number>;
  /** The gradient of the last step in one vector. */
  result(name: PageCandidate): Float32Array;
  close(name: PageCandidate): void;
}
