/** The dashboard's own socket: applies what arrives, sends what a person asks for, and comes back by itself. */
import { decodeWatch, encodeWatch, ProtocolError, type WatchMessageFrom, watchSubprotocol } from '@lockstep/protocol';
import { reconnectDelayMs } from '@lockstep/training';
import type { Room } from './room.ts';

export interface Viewer {
  /** Does nothing while the connection is down. */
  send(message: WatchMessageFrom<'viewer'>): void;
}

export function startViewer(url: string, room: Room): Viewer {
  let socket: WebSocket | undefined;
  let failures = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const connect = (): void => {
    const opened = new WebSocket(url, watchSubprotocol);
    socket = opened;
    opened.binaryType = 'arraybuffer';
    let fault: string | undefined;
    opened.addEventListener('open', () => {
      failures = 0;
      room.link.value = { phase: 'live' };
    });
    opened.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
      try {
        room.apply(decodeWatch(new Uint8Array(data), 'coordinator'));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        fault = 'this page and the coordinator are of different releases: reload the page';
        opened.close();
      }
    });
    opened.addEventListener('close', ({ reason }) => {
      const message = fault ?? (reason || 'the coordinator does not answer');
      room.link.value = { phase: 'lost', message };
      retry = setTimeout(connect, reconnectDelayMs(failures++, Math.random()));
    });
  };
  connect();
  // Whoever comes back to the page, or to the network, wants to see it now.
  const connectNow = (): void => {
    if (document.hidden || room.link.value.phase !== 'lost') return;
    clearTimeout(retry);
    room.link.value = { phase: 'connecting' };
    connect();
  };
  addEventListener('online', connectNow);
  document.addEventListener('visibilitychange', connectNow);

  return {
    send(message) {
      if (socket?.readyState === WebSocket.OPEN) socket.send(encodeWatch(message));
    },
  };
}
