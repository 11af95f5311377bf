/** The dashboard socket: feeds the run store, sends requests, and reconnects by itself. */
import { decodeWatch, encodeWatch, ProtocolError, type WatchMessageFrom, watchSubprotocol } from '@lockstep/protocol';
import { reconnectDelayMs } from '@lockstep/training';
import type { RunStore } from './run-store.ts';

export interface Viewer {
  /** Does nothing while the connection is down. */
  send(message: WatchMessageFrom<'viewer'>): void;
}

export function startViewer(url: string, store: RunStore): Viewer {
  let socket: WebSocket;
  let failures = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const connect = (): void => {
    let protocolFault: string | undefined;
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
        protocolFault = 'this page and the coordinator are of different releases: reload the page';
        (target as WebSocket).close();
      }
    });
    socket.addEventListener('close', ({ reason }) => {
      store.connection.value = {
        phase: 'lost',
        reason: protocolFault ?? (reason || 'the coordinator does not answer'),
      };
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
    send(message) {
      if (socket.readyState === WebSocket.OPEN) socket.send(encodeWatch(message));
    },
  };
}
