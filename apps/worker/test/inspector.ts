/** Asks a program or a page over the DevTools protocol. */
import type { Worker } from 'node:worker_threads';

export interface Answer {
  readonly exceptionDetails?: { readonly text: string };
  readonly result?: { readonly objectId?: string; readonly value?: unknown };
  readonly objects?: { readonly objectId: string };
  readonly targetId?: string;
  readonly sessionId?: string;
}

export interface Inspector {
  /** @param sessionId target inside the browser, if it is not the connection's own */
  ask(method: string, params?: object, sessionId?: string): Promise<Answer>;
  /** Takes a message that has arrived. Events are ignored. */
  read(message: string): void;
  /** Rejects all that was asked, because the connection has closed. */
  closed(): void;
}

/** @param send sends a message over the connection */
export function openInspector(send: (message: string) => unknown): Inspector {
  interface Reply {
    readonly id?: number;
    readonly error?: { readonly message: string };
    readonly result?: Answer;
  }
  const pending = new Map<number, (reply: Reply) => void>();
  let asked = 0;
  return {
    ask: (method, params = {}, sessionId) =>
      new Promise((resolve, reject) => {
        const id = ++asked;
        pending.set(id, ({ error, result = {} }) => {
          pending.delete(id);
          const failure = error?.message ?? result.exceptionDetails?.text;
          if (failure === undefined) resolve(result);
          else reject(new Error(`${method}: ${failure}`));
        });
        send(JSON.stringify({ id, method, params, sessionId }));
      }),
    read(message) {
      const reply = JSON.parse(message) as Reply;
      if (reply.id !== undefined) pending.get(reply.id)?.(reply);
    },
    closed() {
      for (const answer of [...pending.values()]) answer({ error: { message: 'the connection has closed' } });
    },
  };
}

/**
 * Ends every thread that a program or a worker has started.
 * @param prototype expression of the prototype of its threads
 * @returns the number of ended threads
 */
export async function endThreads({ ask }: Pick<Inspector, 'ask'>, prototype: string): Promise<number> {
  const found = await ask('Runtime.evaluate', { expression: prototype, includeCommandLineAPI: true });
  const { objects } = await ask('Runtime.queryObjects', { prototypeObjectId: found.result?.objectId });
  const ended = await ask('Runtime.callFunctionOn', {
    objectId: objects?.objectId,
    functionDeclaration: `${terminateAll}`,
    awaitPromise: true,
    returnByValue: true,
  });
  return Number(ended.result?.value);
}

/** Runs in the program. The objects found by prototype include the prototypes of subclasses. */
async function terminateAll(this: readonly Worker[]): Promise<number> {
  const threads = this.filter((each) => !Object.hasOwn(each, 'constructor'));
  await Promise.all(threads.map((thread) => thread.terminate()));
  return threads.length;
}
