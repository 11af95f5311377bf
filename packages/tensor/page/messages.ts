/** The messages between the page and its worker. */

export interface CheckRequest {
  readonly backend: 'gpu' | 'webgpu' | 'webgl';
  /**
   * `opening` only opens the backend. `ops` and `every example of ops` compare ops with the reference: a few examples
   * that together have every kernel statement, or all of them. `steps` compares whole steps. `loss` takes the device away.
   * `closing` closes it twice, during a read, and after its loss.
   */
  readonly check: 'opening' | 'ops' | 'every example of ops' | 'steps' | 'loss' | 'closing';
}

export type CheckReport =
  | {
      readonly kind: 'report';
      readonly choice: string;
      /** One message for each difference from the reference or from what was expected. */
      readonly failures: readonly string[];
    }
  | { readonly kind: 'failed'; readonly message: string };
