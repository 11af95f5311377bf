/** The messages between the page and its worker. */

export interface CheckRequest {
  /** A backend, or one mode of gpu.js alone. */
  readonly backend: 'gpu' | 'webgpu' | 'webgl' | { readonly mode: 'webgl' | 'webgl2' };
  /**
   * `agreement` compares all ops and whole steps with the reference; `step` measures a step; `loss` takes the device
   * away; `closing` closes it twice, during a read, and after its loss.
   */
  readonly check: 'agreement' | 'step' | 'loss' | 'closing';
}

export type CheckReport =
  | {
      readonly kind: 'report';
      readonly choice: string;
      readonly numericMode: string;
      /** One message for each difference from the reference or from what was expected. */
      readonly failures: readonly string[];
      /** Milliseconds of steps, gradients read back, in order. */
      readonly stepMs: readonly number[];
    }
  | { readonly kind: 'failed'; readonly message: string };
