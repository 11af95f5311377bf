/** Manipulates a program from outside through its engine's inspector; the program needs no support for it. */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import WebSocket from 'ws';

/** Environment that makes a program inspectable; the program prints the address. */
export const inspectable = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };
export const inspectorAddress = /Debugger listening on (ws:\S+)/;

interface Answer {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: {
    readonly exceptionDetails?: { readonly text: string };
    readonly result?: { readonly objectId?: string; readonly value?: unknown };
    readonly objects?: { readonly objectId: string };
  };
}

/** Ends every thread that the program at this address has started. @returns how many threads it ended */
export async function endThreads(address: string): Promise<number> {
  const socket = new WebSocket(address);
  await once(socket, 'open');
  try {
    const workers = await ask(socket, 'Runtime.evaluate', {
      expression: 'require("node:worker_threads").Worker.prototype',
      includeCommandLineAPI: true,
    });
    const all = await ask(socket, 'Runtime.queryObjects', { prototypeObjectId: workers?.result?.objectId });
    const ended = await ask(socket, 'Runtime.callFunctionOn', {
      objectId: all?.objects?.objectId,
      functionDeclaration: `${terminateAll}`,
      awaitPromise: true,
      returnByValue: true,
    });
    return Number(ended?.result?.value);
  } finally {
    socket.terminate();
  }
}

/** Runs in the program. The objects found by prototype include the prototypes of subclasses. */
async function terminateAll(this: readonly Worker[]): Promise<number> {
  const threads = this.filter((each) => !Object.hasOwn(each, 'constructor'));
  await Promise.all(threads.map((thread) => thread.terminate()));
  return threads.length;
}

let asked = 0;

function ask(socket: WebSocket, method: string, params: object): Promise<Answer['result']> {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new Error(`expected an answer to ${method}, got the end of the connection`));
    const read = (data: WebSocket.RawData): void => {
      const { id: answered, error, result } = JSON.parse(String(data)) as Answer;
      if (answered !== id) return;
      socket.off('message', read);
      socket.off('close', fail);
      const failure = error?.message ?? result?.exceptionDetails?.text;
      if (failure === undefined) resolve(result);
      else reject(new Error(`${method}: ${failure}`));
    };
    socket.on('message', read);
    socket.on('close', fail);
    socket.send(JSON.stringify({ id, method, params }));
  });
}
