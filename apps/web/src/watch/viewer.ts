/** The dashboard socket: feeds the run store, sends requests, and reconnects by itself. */
import { decodeWatch, encodeWatch, ProtocolError, type WatchMessageFrom, watchSubprotocol } from '@lockstep/protocol';
import { reconnectDelayMs } from '@lockstep/training';
import type { RunStore } from './run-store.ts';

export type Viewer = ReturnType<typeof startViewer>;

export function startViewer(url: string, store: RunStore) {
  let socket: WebSocket;
  let failures = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const connect = (): void => {
    let lostReason: string | undefined;
    socket = new WebSocket(url, watchSubprotocol);
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      failures = 0;
      store.connection.value = { phase: 'live' };
    });
    socket.addEventListener('message', ({ data, target }: MessageEvent<ArrayBuffer>) => {
      try {
        store.apply(decodeWatch(new Uint8Array(data), 'coordinator'));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        lostReason = 'this page and the coordinator are of different releases: reload the page';
        (target as WebSocket).close();
      }
    });
    socket.addEventListener('close', ({ reason }) => {
      lostReason ??= reason || 'the coordinator does not answer';
      store.connection.value = { phase: 'lost', reason: lostReason };
      retry = setTimeout(connect, reconnectDelayMs(failures++, Math.random()));
    });
  };
  connect();
  // A page that is shown again, or whose network is back, does not wait for the next attempt.
  const connectNow = (): void => {
    if (document.hidden || store.connection.value.phase !== 'lost') return;
    clearTimeout(retry);
    store.connection.value = { phase: 'connecting' };
    connect();
  };
  addEventListener('online', connectNow);
  document.addEventListener('visibilitychange', connectNow);

  return {
    /** Does nothing while the connection is down. */
    send(message: WatchMessageFrom<'viewer'>): void {
      if (socket.readyState === WebSocket.OPEN) socket.send(encodeWatch(message));
    },
  };
}
