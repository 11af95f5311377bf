/** The dashboard socket: feeds the run store, sends requests, and reconnects by itself. */
import {
  decodeWatch,
  encodeWatch,
  ProtocolError,
  type WatchMessageFrom,
  type WatchMessageOf,
  watchSubprotocol,
} from '@lockstep/protocol';
import { reconnectDelayMs } from '@lockstep/training';
import type { RunStore } from './run-store.ts';

/** The coordinator closes a page with it that may not watch, or sends what it may not. */
const refusedCode = 1008;
/** Another run answers there from now on. */
const restartCode = 1012;

export interface ViewerOptions {
  readonly url: string;
  readonly store: RunStore;
  /** Reads the tokens of this page anew for each connection. */
  readonly hello: () => WatchMessageOf<'hello'>;
}

export class Viewer {
  readonly #options: ViewerOptions;
  #socket: WebSocket;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ViewerOptions) {
    this.#options = options;
    this.#socket = this.#connect();
    // A page that is shown again, or whose network is back, does not wait for the next attempt.
    const connectNow = (): void => this.connectNow();
    addEventListener('online', connectNow);
    document.addEventListener('visibilitychange', connectNow);
  }

  /** Tries again at once where the connection is down. */
  connectNow(): void {
    const { phase } = this.#options.store.connection.value;
    if (document.hidden || (phase !== 'lost' && phase !== 'refused')) return;
    clearTimeout(this.#retry);
    this.#connectAnew();
  }

  /** Does nothing while the connection is down. */
  send(message: WatchMessageFrom<'viewer'>): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encodeWatch(message));
  }

  #connectAnew(): void {
    this.#options.store.connection.value = { phase: 'connecting' };
    this.#socket = this.#connect();
  }

  #connect(): WebSocket {
    const { url, hello } = this.#options;
    let fault: string | undefined;
    let refusal: string | undefined;
    const socket = new WebSocket(url, watchSubprotocol);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      socket.send(encodeWatch(hello()));
    });
    socket.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
      try {
        const message = decodeWatch(new Uint8Array(data), 'coordinator');
        if (message.type === 'refused') refusal = message.message;
        this.#take(message);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        fault = 'this page and the coordinator are of different releases: reload the page';
        socket.close();
      }
    });
    socket.addEventListener('close', ({ code, reason }) => {
      // A reason of a closing is cut off where it is long.
      const said = reason !== '' && refusal?.startsWith(reason) ? refusal : reason;
      this.#closed(code, fault ?? (said || 'the coordinator does not answer'));
    });
    return socket;
  }

  #take(message: WatchMessageFrom<'coordinator'>): void {
    const { store } = this.#options;
    if (message.type === 'run' || message.type === 'dataSetup') {
      this.#failures = 0;
      store.connection.value = { phase: 'live' };
    }
    store.apply(message);
  }

  #closed(code: number, reason: string): void {
    const { connection } = this.#options.store;
    if (code === restartCode) {
      this.#connectAnew();
      return;
    }
    // What the page lacks it does not get by trying again.
    connection.value = { phase: code === refusedCode ? 'refused' : 'lost', reason };
    if (code === refusedCode) return;
    this.#retry = setTimeout(
      () => {
        this.#socket = this.#connect();
      },
      reconnectDelayMs(this.#failures++, Math.random()),
    );
  }
}
