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

export type Viewer = ReturnType<typeof startViewer>;

/** @param hello reads the tokens of this page anew for each connection */
export function startViewer(url: string, store: RunStore, hello: () => WatchMessageOf<'hello'>) {
  let socket: WebSocket;
  let failures = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const connect = (): void => {
    let lostReason: string | undefined;
    let refusal: string | undefined;
    socket = new WebSocket(url, watchSubprotocol);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      socket.send(encodeWatch(hello()));
    });
    socket.addEventListener('message', ({ data, target }: MessageEvent<ArrayBuffer>) => {
      try {
        const message = decodeWatch(new Uint8Array(data), 'coordinator');
        if (message.type === 'refused') refusal = message.message;
        if (message.type === 'run' || message.type === 'dataSetup') {
          failures = 0;
          store.connection.value = { phase: 'live' };
        }
        store.apply(message);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        lostReason = 'this page and the coordinator are of different releases: reload the page';
        (target as WebSocket).close();
      }
    });
    socket.addEventListener('close', ({ code, reason }) => {
      lostReason ??= (reason && refusal?.startsWith(reason) ? refusal : reason) || 'the coordinator does not answer';
      // What the page lacks it does not get by trying again.
      if (code === refusedCode) {
        store.connection.value = { phase: 'refused', reason: lostReason };
        return;
      }
      if (code === restartCode) {
        store.connection.value = { phase: 'connecting' };
        connect();
        return;
      }
      store.connection.value = { phase: 'lost', reason: lostReason };
      retry = setTimeout(connect, reconnectDelayMs(failures++, Math.random()));
    });
  };
  connect();
  // A page that is shown again, or whose network is back, does not wait for the next attempt.
  const connectNow = (): void => {
    const { phase } = store.connection.value;
    if (document.hidden || (phase !== 'lost' && phase !== 'refused')) return;
    clearTimeout(retry);
    store.connection.value = { phase: 'connecting' };
    connect();
  };
  addEventListener('online', connectNow);
  document.addEventListener('visibilitychange', connectNow);

  return {
    /** Tries again at once where the connection is down. */
    connectNow,
    /** Does nothing while the connection is down. */
    send(message: WatchMessageFrom<'viewer'>): void {
      if (socket.readyState === WebSocket.OPEN) socket.send(encodeWatch(message));
    },
  };
}
