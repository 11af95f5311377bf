/** One compute thread, as the socket's thread sees it: a promise for each request. */
import { Worker } from 'node:worker_threads';
import type { ThreadRequest, ThreadResponse, ThreadSetup } from './thread-messages.ts';

type ResponseTo<Request extends ThreadRequest> = Extract<
  ThreadResponse,
  { type: { start: 'started'; open: 'opened'; weights: 'weighted'; gradient: 'gradient' }[Request['type']] }
>;

interface Waiting {
  readonly resolve: (response: ThreadResponse) => void;
  readonly reject: (error: Error) => void;
}

export class ComputeClient {
  readonly #thread: Worker;
  /** Answers come in the order of the requests. */
  #waiting: Waiting[] = [];
  #failure: Error | undefined;

  constructor(setup: ThreadSetup) {
    this.#thread = new Worker(new URL('./compute-thread.js', import.meta.url), { workerData: setup });
    this.#thread.on('message', (response: ThreadResponse) => {
      const waiting = this.#waiting.shift();
      if (response.type === 'error') waiting?.reject(new Error(response.sentence));
      else waiting?.resolve(response);
    });
    this.#thread.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#thread.on('exit', () => this.#fail(new Error('the compute thread ended')));
  }

  async request<Request extends ThreadRequest>(request: Request): Promise<ResponseTo<Request>> {
    if (this.#failure) throw this.#failure;
    const response = new Promise<ThreadResponse>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#thread.postMessage(request);
    return (await response) as ResponseTo<Request>;
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}
