/** What the page's side and Node's side of a contender say to each other. */

/** The work as plain text, since it crosses from Node into the page. */
export interface PageWork {
  readonly batchSize: number;
  /** Initial parameters as the bytes of float32 values, base64. */
  readonly initial: string;
  /** Pixels and labels of each batch, base64. */
  readonly batches: readonly { readonly pixels: string; readonly labels: string }[];
}

export type PageContenderName = `${'lockstep' | 'TensorFlow.js'} ${'webgl' | 'webgpu'}`;

/** One gradient after another, each read back, at the same parameters. */
export interface PageContender {
  readonly version: string | undefined;
  readonly notes: readonly string[];
  /** Makes ready what the next steps need. */
  reset(): Promise<void>;
  /** The gradient of the mean loss of batch `index`, read back: its parameters in model order. */
  step(index: number): Promise<readonly Float32Array[]>;
  close(): void;
}

/** What Node calls in the page; `open` answers with what a reader must know, or with why it cannot. */
export interface PageBench {
  open(
    name: PageContenderName,
    work: PageWork,
  ): Promise<{ readonly version: string | undefined; readonly notes: readonly string[] } | { readonly absent: string }>;
  reset(name: PageContenderName): Promise<void>;
  /** Milliseconds for `steps` steps. */
  run(name: PageContenderName, steps: number): Promise<number>;
  /** The last step's gradient in one vector, float32 as base64. */
  result(name: PageContenderName): Promise<string>;
  close(name: PageContenderName): void;
}
