/** The page: runs each check in a Web Worker, for the test that drives the browser. */

export interface CheckRequest {
  readonly backend: 'gpu' | 'webgpu' | 'webgl';
  /**
   * `opening` only opens the backend. `ops` and `every example of ops` compare ops with the reference: a few examples
   * that together have every kernel statement, or all of them. `steps` compares whole steps, and slices read back.
   * `loss` takes the device away. `closing` closes it twice, during a read, and after its loss.
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

declare const window: { runCheck?: (request: CheckRequest) => Promise<CheckReport> };
declare class Worker {
  constructor(url: URL, options: { type: 'module' });
  onmessage: ((event: { data: CheckReport }) => void) | null;
  onerror: ((event: { message: string }) => void) | null;
  postMessage(request: CheckRequest): void;
  terminate(): void;
}

/** A worker of its own for each check, so that none inherits a device. */
window.runCheck = (request) =>
  new Promise((resolve) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    const done = (report: CheckReport): void => {
      worker.terminate();
      resolve(report);
    };
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = ({ message }) => done({ kind: 'failed', message });
    worker.postMessage(request);
  });
