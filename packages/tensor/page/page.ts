/** The page: hands questions to a Web Worker, and its answers to whoever drives the browser. */
import type { Answer, Question } from './messages.ts';

declare const window: { ask?: (question: Question) => Promise<Answer> };
declare class Worker {
  constructor(url: URL, options: { type: 'module' });
  onmessage: ((event: { data: Answer }) => void) | null;
  onerror: ((event: { message: string }) => void) | null;
  postMessage(question: Question): void;
  terminate(): void;
}

/** A worker of its own for each question, so that none inherits a device. */
window.ask = (question) =>
  new Promise((resolve) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    const done = (answer: Answer): void => {
      worker.terminate();
      resolve(answer);
    };
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = ({ message }) => done({ kind: 'failed', message: message });
    worker.postMessage(question);
  });
