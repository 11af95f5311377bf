/** Controls the Web Worker of a tab over the DevTools protocol, without support by the page. */
import type { CDPSession, Page } from 'playwright-core';

interface Answer {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: {
    readonly exceptionDetails?: { readonly text: string };
    readonly result?: { readonly objectId?: string; readonly value?: unknown };
    readonly objects?: { readonly objectId: string };
  };
}

/**
 * Ends every worker that the tab's own worker has started.
 * @returns the number of ended workers
 */
export async function endThreads(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  const attached = new Promise<string>((resolve) => {
    session.on('Target.attachedToTarget', ({ sessionId }) => resolve(sessionId));
  });
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const sessionId = await attached;
  const evaluated = await ask(session, sessionId, 'Runtime.evaluate', { expression: 'Worker.prototype' });
  const prototypeObjectId = evaluated?.result?.objectId;
  const all = await ask(session, sessionId, 'Runtime.queryObjects', { prototypeObjectId });
  const ended = await ask(session, sessionId, 'Runtime.callFunctionOn', {
    objectId: all?.objects?.objectId,
    functionDeclaration: `${terminateAll}`,
    returnByValue: true,
  });
  await session.detach();
  return Number(ended?.result?.value);
}

/** Runs in the tab's worker. */
function terminateAll(this: readonly Worker[]): number {
  for (const worker of this) worker.terminate();
  return this.length;
}

let asked = 0;

function ask(session: CDPSession, sessionId: string, method: string, params: object): Promise<Answer['result']> {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    const read = (event: { readonly message: string }): void => {
      const { id: answered, error, result } = JSON.parse(event.message) as Answer;
      if (answered !== id) return;
      session.off('Target.receivedMessageFromTarget', read);
      const failure = error?.message ?? result?.exceptionDetails?.text;
      if (failure === undefined) resolve(result);
      else reject(new Error(`${method}: ${failure}`));
    };
    session.on('Target.receivedMessageFromTarget', read);
    session
      .send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method, params }) })
      .catch(reject);
  });
}
