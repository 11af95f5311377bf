/** The least that could be a coordinator, as a program: it sends weights and pixels, adds what comes back, and steps. */
import { readFile } from 'node:fs/promises';
import type { WebSocket } from 'ws';
import { starBatch, starInitial, starLearningRate, starPixels, starVectorBytes } from '../../work/star.ts';
import { type BareMessage, floatsOf, packr } from './bare-messages.ts';
import { type StarRun, serveStar } from './coordinator-program.ts';

function begin(workers: number, steps: number, onStep: () => void): StarRun {
  const weights = starInitial();
  const sum = new Float32Array(weights.length);
  const sockets: WebSocket[] = [];
  const share = starBatch(workers) / workers;
  let step = 0;
  let answers = 0;
  let resolveEnded = (): void => {};
  const ended = new Promise<void>((resolve) => {
    resolveEnded = resolve;
  });

  const send = (): void => {
    const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength);
    const frame = packr.pack({ type: 'weights', step, bytes } satisfies BareMessage);
    const pixels = new Uint8Array(share * starPixels).fill(step & 255);
    const labels = new Uint8Array(share).fill(step % 10);
    for (const socket of sockets) {
      socket.send(frame);
      socket.send(packr.pack({ type: 'task', step, pixels, labels } satisfies BareMessage));
    }
  };

  const take = (frame: Buffer): void => {
    const values = floatsOf((packr.unpack(frame) as BareMessage & { readonly type: 'gradient' }).bytes);
    if (answers === 0) sum.set(values);
    else for (let index = 0; index < sum.length; index++) sum[index]! += values[index]!;
    answers += 1;
    if (answers < workers) return;
    answers = 0;
    const rate = starLearningRate / starBatch(workers);
    for (let index = 0; index < sum.length; index++) weights[index]! -= rate * sum[index]!;
    step += 1;
    onStep();
    if (step < steps) {
      send();
      return;
    }
    resolveEnded();
    for (const socket of sockets) socket.close();
  };

  return {
    connect(socket) {
      sockets.push(socket);
      socket.on('message', take);
      if (sockets.length < workers) return;
      send();
    },
    ended,
    weights: () => weights,
  };
}

const manifest = JSON.parse(await readFile(new URL(import.meta.resolve('ws/package.json')), 'utf8')) as {
  version: string;
};

await serveStar({
  version: manifest.version,
  notes: [
    'ws and msgpackr with bufferutil, one message packed for all workers, sums and SGD in plain loops, nothing checked',
  ],
  maxFrameBytes: 2 * starVectorBytes,
  begin,
});
