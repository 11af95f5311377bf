/// <reference lib="dom" />
/** Compiles only if the browser's own WebSocket fits the transport. */
import type { WebSocketLike } from '../src/transport.ts';

export const openInBrowser = (url: string): WebSocketLike => new globalThis.WebSocket(url);
