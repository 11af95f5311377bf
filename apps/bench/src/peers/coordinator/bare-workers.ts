/** The workers of a bare star, as a program: answer every task with one precomputed gradient. */
import { once } from 'node:events';
import type { WebSocket } from 'ws';
import { readyGradient } from '../../workloads/coordinator-load.ts';
import { type BareMessage, packr } from './bare-messages.ts';
import { serveWorkers } from './serve-workers.ts';

const bytes = new Uint8Array(readyGradient().buffer);

await serveWorkers((socket: WebSocket) => {
  socket.on('message', (frame: Buffer) => {
    const message = packr.unpack(frame) as BareMessage;
    if (message.type !== 'task') return;
    socket.send(packr.pack({ type: 'gradient', step: message.step, bytes } satisfies BareMessage));
  });
  return once(socket, 'close');
});
