/** The page: runs each check in a Web Worker, for the test that drives the browser. */
import type { CheckReport, CheckRequest } from './messages.ts';

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
