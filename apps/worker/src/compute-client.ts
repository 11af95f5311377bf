/** One compute thread, as the socket's thread sees it: a promise for each request, and news of shards. */
import { Worker } from 'node:worker_threads';
import type { ThreadNews, ThreadRequest, ThreadResponse, ThreadSetup } from './thread-messages.ts';

type ResponseTo<Request extends ThreadRequest> = Extract<
  ThreadResponse,
  { type: { start: 'started'; open: 'opened'; memory: 'remembered' }[Request['type']] }
>;

interface Waiting {
  readonly resolve: (response: ThreadResponse) => void;
  readonly reject: (error: Error) => void;
}

export interface ShardListener {
  onNews(news: ThreadNews): void;
  /** The thread is gone. */
  onGone(error: Error): void;
}

export class ComputeClient {
  readonly #thread: Worker;
  readonly #listener: ShardListener;
  /** Answers come in the order of the requests. */
  #waiting: Waiting[] = [];
  #failure: Error | undefined;

  constructor(setup: ThreadSetup, listener: ShardListener) {
    this.#listener = listener;
    this.#thread = new Worker(new URL('./compute-thread.js', import.meta.url), {
      workerData: setup,
      // What Node was told of modules or debuggers is meant for the socket's thread; V8's flags are the process's anyway.
      execArgv: [],
    });
    this.#thread.on('message', (message: ThreadResponse | ThreadNews) => {
      if (message.type === 'added' || message.type === 'failed') {
        listener.onNews(message);
        return;
      }
      const waiting = this.#waiting.shift();
      if (message.type === 'error') waiting?.reject(new Error(message.message));
      else waiting?.resolve(message);
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
    if (this.#failure) return;
    this.#failure = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#listener.onGone(error);
  }
}
