/** The dashboard socket: updates the run store, sends requests, and reconnects by itself. */
import {
  decodeWatch,
  encodeWatch,
  ProtocolError,
  type WatchMessageFrom,
  type WatchMessageOf,
  watchSubprotocol,
} from '@lockstep/protocol';
import { reconnectDelayMs } from '@lockstep/worker/browser';
import { batch } from '@preact/signals';
import type { RunStore } from './run-store.ts';
import type { Given } from './status.ts';

/** Close code for a page that may not watch, or that sent a message it may not send. */
const refusedCode = 1008;
/** Close code when another run begins on the server. */
const restartCode = 1012;
const checkEveryMs = 1_000;
/** Silence after which a connection is replaced. Weights may take a while on a slow link. */
const replaceAfterMs = 60_000;

export interface ViewerOptions {
  readonly url: string;
  readonly store: RunStore;
  /** Reads the tokens of this page for each new connection. */
  readonly hello: () => WatchMessageOf<'hello'>;
}

export class Viewer {
  readonly #options: ViewerOptions;
  #socket: WebSocket;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #receivedAtMs = performance.now();
  #connectedAtMs = performance.now();
  #checkedAtMs = performance.now();

  constructor(options: ViewerOptions) {
    this.#options = options;
    this.#socket = this.#connect();
    const { store } = options;
    const noteNetwork = (): void => {
      store.isOnline.value = navigator.onLine;
      if (navigator.onLine) this.connectNow();
    };
    noteNetwork();
    addEventListener('online', noteNetwork);
    addEventListener('offline', noteNetwork);
    // A page that becomes visible again reconnects at once.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.connectNow();
    });
    setInterval(() => this.#checkSilence(), checkEveryMs);
  }

  /** Reconnects at once if the connection is down. */
  connectNow(): void {
    const { phase } = this.#options.store.connection.value;
    if (phase === 'lost' || phase === 'refused') this.reconnect();
  }

  /** Sends a message, unless the connection is down. */
  send(message: WatchMessageFrom<'viewer'>): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encodeWatch(message));
  }

  /** Reconnects even if the connection is up, with the current result of `hello`. */
  reconnect(): void {
    clearTimeout(this.#retry);
    this.#options.store.connection.value = { phase: 'connecting' };
    const before = this.#socket;
    this.#socket = this.#connect();
    before.close();
  }

  #checkSilence(): void {
    const { store } = this.#options;
    const nowMs = performance.now();
    const wasAsleep = nowMs - this.#checkedAtMs > 2 * checkEveryMs;
    this.#checkedAtMs = nowMs;
    // A page that was busy or frozen itself may still have messages to read.
    if (wasAsleep) return;
    store.noteSilence(nowMs - this.#receivedAtMs);
    const { phase } = store.connection.value;
    const isTried = phase === 'live' || phase === 'connecting';
    if (isTried && nowMs - Math.max(this.#receivedAtMs, this.#connectedAtMs) >= replaceAfterMs) this.reconnect();
  }

  #connect(): WebSocket {
    const { url, hello } = this.#options;
    const shown = hello();
    let fault: string | undefined;
    let refusal: string | undefined;
    let isAdmitted = false;
    this.#connectedAtMs = performance.now();
    const socket = new WebSocket(url, watchSubprotocol);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      socket.send(encodeWatch(shown));
    });
    socket.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
      if (socket !== this.#socket) return;
      try {
        const message = decodeWatch(new Uint8Array(data), 'coordinator');
        if (message.type === 'refused') refusal = message.message;
        isAdmitted ||= message.type === 'run' || message.type === 'dataSetup';
        this.#take(message);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        fault = 'this page and the coordinator have different versions: reload the page';
        socket.close();
      }
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (socket !== this.#socket) return;
      // The reason of a close frame is short: prefer the full text of the refusal.
      const said = reason !== '' && refusal?.startsWith(reason) ? refusal : reason;
      const guessed = shown.token === undefined ? 'nothing' : 'token';
      const given = isAdmitted ? 'admitted' : refusal === undefined ? undefined : guessed;
      this.#closed(code, fault ?? (said || 'the coordinator does not answer'), given);
    });
    return socket;
  }

  #take(message: WatchMessageFrom<'coordinator'>): void {
    const { store } = this.#options;
    this.#receivedAtMs = performance.now();
    batch(() => {
      store.noteSilence(0);
      if (message.type === 'run' || message.type === 'dataSetup') {
        this.#failures = 0;
        store.connection.value = { phase: 'live' };
      }
      store.apply(message);
    });
  }

  #closed(code: number, reason: string, given: Given | undefined): void {
    const { connection } = this.#options.store;
    if (code === restartCode) {
      this.reconnect();
      return;
    }
    // Retrying cannot help a page that was told that it may not watch. One whose hello came too late was not.
    if (code === refusedCode && given !== undefined) {
      connection.value = { phase: 'refused', reason, given };
      return;
    }
    connection.value = { phase: 'lost', reason };
    this.#retry = setTimeout(
      () => {
        this.#socket = this.#connect();
      },
      reconnectDelayMs(this.#failures++, Math.random()),
    );
  }
}
