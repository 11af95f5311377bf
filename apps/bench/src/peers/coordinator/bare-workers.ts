/** The workers of a bare star, as a program: answer every task with the same gradient, computed at the first. */
import { once } from 'node:events';
import type { WebSocket } from 'ws';
import { microbatchSize, readyGradient } from '../../workloads/coordinator-load.ts';
import { type BareMessage, packr } from './bare-messages.ts';
import { serveWorkers } from './serve-workers.ts';

let bytes: Uint8Array | undefined;

/** Returns the sum of the microbatches that a worker gets in each step. */
function sumOf(samples: number): Uint8Array {
  return new Uint8Array(readyGradient().map((value) => (samples / microbatchSize) * value).buffer);
}

await serveWorkers((socket: WebSocket) => {
  socket.on('message', (frame: Buffer) => {
    const message = packr.unpack(frame) as BareMessage;
    if (message.type !== 'task') return;
    bytes ??= sumOf(message.labels.length);
    socket.send(packr.pack({ type: 'gradient', step: message.step, bytes } satisfies BareMessage));
  });
  return once(socket, 'close');
});
