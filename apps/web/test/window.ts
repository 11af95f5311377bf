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
import { openInspector } from '../../worker/test/inspector.ts';

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

/** A message without an answer. */
interface Event {
  readonly method?: string;
  readonly sessionId?: string;
  readonly params: { readonly sessionId: string; readonly targetInfo: { readonly type: string } };
}

export async function openWindow(executablePath: string): Promise<BrowserWindow> {
  const profile = await mkdtemp(join(tmpdir(), 'lockstep-window-'));
  const args = [...browserFlags, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'];
  const browser = spawn(executablePath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(browser, 'exit');
  const socket = new WebSocket(await addressOf(browser));
  await once(socket, 'open');

  /** The session of each page's worker, by the page's session. */
  const workers = new Map<string, string>();
  const waiting = new Set<() => void>();
  const settle = (): void => {
    for (const check of [...waiting]) check();
  };
  let isClosed = false;
  const { ask, read, closed } = openInspector((message) => socket.send(message));
  socket.on('message', (data: Buffer) => {
    read(data.toString());
    const { method, params, sessionId } = JSON.parse(data.toString()) as Event;
    if (method !== 'Target.attachedToTarget' || params.targetInfo.type !== 'worker' || !sessionId) return;
    workers.set(sessionId, params.sessionId);
    settle();
  });
  socket.on('close', () => {
    isClosed = true;
    closed();
    settle();
  });

  const evaluate = async <T>(expression: string, sessionId: string): Promise<T> => {
    const { result } = await ask(
      'Runtime.evaluate',
      { expression, awaitPromise: true, returnByValue: true },
      sessionId,
    );
    return result?.value as T;
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
      const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
      const { sessionId = '' } = await ask('Target.attachToTarget', { targetId, flatten: true });
      await ask('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: true }, sessionId);
      await ask('Page.navigate', { url }, sessionId);
      return {
        evaluate: (expression) => evaluate(expression, sessionId),
        evaluateInWorker: async (expression) => evaluate(expression, await workerOf(sessionId)),
        activate: async () => void (await ask('Target.activateTarget', { targetId })),
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
