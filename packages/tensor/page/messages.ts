/** What the page's worker is asked, and what it answers. */

export interface Question {
  /** A backend, or one mode of gpu.js alone. */
  readonly backend: 'gpu' | 'webgpu' | 'webgl' | { readonly mode: 'webgl' | 'webgl2' };
  /**
   * `agreement` walks the operations and whole steps; `step` measures a step; `loss` takes the device away; `closing` gives
   * it back in every way that goes wrong easily.
   */
  readonly what: 'agreement' | 'step' | 'loss' | 'closing';
}

export type Answer =
  | {
      readonly kind: 'answer';
      readonly choice: string;
      readonly numericMode: string;
      /** One sentence for each difference from the reference, or each thing that went otherwise than expected. */
      readonly complaints: readonly string[];
      /** Milliseconds of steps, gradients read back, in order. */
      readonly stepMs: readonly number[];
    }
  | { readonly kind: 'failed'; readonly message: string };
