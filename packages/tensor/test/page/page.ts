/** The page: runs each check in a Web Worker, for the test that drives the browser. */

export interface CheckRequest {
  readonly backend: 'gpu' | 'webgpu' | 'webgl';
  /**
   * Run one after another on one device, since opening it takes longest. `ops` and `every example of ops` compare ops with
   * the reference: a few examples that together have every kernel statement, or all of them. `steps` compares whole steps
   * and slices that are read back. `endings`, the last, closes the device twice, during a read, then opens another one and
   * takes that away; with WebGL also a third one, whose reads bring nothing.
   */
  readonly checks: readonly ('ops' | 'every example of ops' | 'steps' | 'endings')[];
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

/** A new worker for each request, so that none inherits a device. */
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
