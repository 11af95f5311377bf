/** Workers of a bare star, as a program: they give one gradient to every task, once its weights are there. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { starGradient, starVectorBytes } from '../../work/star.ts';
import { type BareMessage, packr } from './bare-messages.ts';
import { answerRequests, type WorkersRequest } from './requests.ts';

const bytes = new Uint8Array(starGradient().buffer);

async function takePart(port: number): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, {
    perMessageDeflate: false,
    maxPayload: 2 * starVectorBytes,
    generateMask: (mask) => mask.fill(0),
  });
  socket.on('message', (frame: Buffer) => {
    const message = packr.unpack(frame) as BareMessage;
    if (message.type === 'task') {
      socket.send(packr.pack({ type: 'gradient', step: message.step, bytes } satisfies BareMessage));
    }
  });
  await once(socket, 'close');
}

await answerRequests(async ({ port, workers }: WorkersRequest) => {
  await Promise.all(Array.from({ length: workers }, () => takePart(port)));
  return {};
});
