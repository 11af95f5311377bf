/**
 * A browser window with real tabs, one of them in front. Playwright keeps every tab visible and its timers at full
 * speed, so this window is driven by the DevTools protocol.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { browserFlags } from '@lockstep/chromium';
import { WebSocket } from 'ws';

export interface WindowTab {
  /** Evaluates an expression in the page, and awaits its value. */
  evaluate<T>(expression: string): Promise<T>;
  /** Evaluates an expression in the first Web Worker of the page. */
  evaluateInWorker<T>(expression: string): Promise<T>;
  /** Brings the tab to the front, and all others to the back. */
  activate(): Promise<void>;
}

export interface BrowserWindow {
  /** Opens a tab in front of the others. */
  open(url: string): Promise<WindowTab>;
  close(): Promise<void>;
}

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: { readonly sessionId?: string; readonly targetInfo?: { readonly type: string } };
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

export async function openWindow(executablePath: string): Promise<BrowserWindow> {
  const profile = await mkdtemp(join(tmpdir(), 'lockstep-window-'));
  const args = [...browserFlags, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'];
  const browser = spawn(executablePath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(browser, 'exit');
  const socket = new WebSocket(await addressOf(browser));
  await once(socket, 'open');

  const pending = new Map<number, (reply: Reply) => void>();
  /** The session of each page's worker, by the page's session. */
  const workers = new Map<string, string>();
  const waiting = new Set<() => void>();
  const settle = (): void => {
    for (const check of [...waiting]) check();
  };
  let sent = 0;
  let isClosed = false;
  socket.on('message', (data: Buffer) => {
    const reply = JSON.parse(data.toString()) as Reply;
    const { id, method, params, sessionId } = reply;
    if (id !== undefined) pending.get(id)?.(reply);
    if (method === 'Target.attachedToTarget' && params?.targetInfo?.type === 'worker' && sessionId !== undefined) {
      workers.set(sessionId, params.sessionId ?? '');
      settle();
    }
  });
  socket.on('close', () => {
    isClosed = true;
    for (const answer of pending.values()) answer({ error: { message: 'the browser has gone' } });
    settle();
  });

  const send = (method: string, params: object = {}, sessionId?: string): Promise<Readonly<Record<string, unknown>>> =>
    new Promise((resolve, reject) => {
      const id = ++sent;
      pending.set(id, ({ result, error }) => {
        pending.delete(id);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result ?? {});
      });
      socket.send(JSON.stringify({ id, method, params, sessionId }));
    });

  const evaluate = async <T>(expression: string, sessionId: string): Promise<T> => {
    const params = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await send('Runtime.evaluate', params, sessionId);
    if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value: T }).value;
  };

  const workerOf = (sessionId: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const worker = workers.get(sessionId);
        if (worker === undefined && !isClosed) return;
        waiting.delete(check);
        if (worker === undefined) reject(new Error('expected a tab with a Web Worker, but the browser has gone'));
        else resolve(worker);
      };
      waiting.add(check);
      check();
    });

  return {
    async open(url) {
      const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
      const attached = await send('Target.attachToTarget', { targetId, flatten: true });
      const sessionId = attached['sessionId'] as string;
      await send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: true }, sessionId);
      await send('Page.navigate', { url }, sessionId);
      return {
        evaluate: (expression) => evaluate(expression, sessionId),
        evaluateInWorker: async (expression) => evaluate(expression, await workerOf(sessionId)),
        activate: async () => void (await send('Target.activateTarget', { targetId })),
      };
    },
    async close() {
      socket.terminate();
      browser.kill('SIGKILL');
      await exited;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Returns the DevTools address that the browser prints. */
function addressOf({ stderr, exitCode }: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stderr!.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      const [, address] = /listening on (ws:\S+)\s/.exec(text) ?? [];
      if (address !== undefined) resolve(address);
    });
    stderr!.on('close', () =>
      reject(new Error(`expected a browser that listens, got exit code ${exitCode}:\n${text}`)),
    );
  });
}
