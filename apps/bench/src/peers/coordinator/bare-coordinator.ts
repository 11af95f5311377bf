/** The coordinator of a bare star, as a program: sends weights and pixels, adds gradients, and steps. */
import { readFile } from 'node:fs/promises';
import type { WebSocket } from 'ws';
import {
  batchOf,
  initialWeights,
  learningRate,
  pixelsPerSample,
  vectorBytes,
} from '../../workloads/coordinator-load.ts';
import { type BareGradient, type BareMessage, packr } from './bare-messages.ts';
import { type BurstRun, serveCoordinator } from './serve-coordinator.ts';

function begin(workers: number, steps: number, onStep: () => void): BurstRun {
  const weights = initialWeights();
  const sum = new Float32Array(weights.length);
  const rate = learningRate / batchOf(workers);
  const sockets: WebSocket[] = [];
  let [step, gradients] = [0, 0];
  let end = (): void => {};
  const send = (): void => {
    const share = batchOf(workers) / workers;
    const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength);
    const frame = packr.pack({ type: 'weights', step, bytes } satisfies BareMessage);
    const pixels = new Uint8Array(share * pixelsPerSample).fill(step & 255);
    const labels = new Uint8Array(share).fill(step % 10);
    for (const socket of sockets) {
      socket.send(frame);
      socket.send(packr.pack({ type: 'task', step, pixels, labels } satisfies BareMessage));
    }
  };
  const takeStep = (): void => {
    gradients = 0;
    for (let index = 0; index < sum.length; index++) weights[index]! -= rate * sum[index]!;
    step += 1;
    onStep();
    if (step < steps) {
      send();
      return;
    }
    end();
    for (const socket of sockets) socket.close();
  };
  const add = (gradient: Float32Array): void => {
    if (gradients === 0) sum.set(gradient);
    else for (let index = 0; index < sum.length; index++) sum[index]! += gradient[index]!;
    gradients += 1;
    if (gradients === workers) takeStep();
  };
  return {
    ended: new Promise((resolve) => {
      end = resolve;
    }),
    weights: () => weights,
    connect(socket) {
      sockets.push(socket);
      socket.on('message', (frame: Buffer) => add(floatsOf((packr.unpack(frame) as BareGradient).bytes)));
      if (sockets.length === workers) send();
    },
  };
}

/** The float32 values of bytes at any alignment. */
function floatsOf(bytes: Uint8Array): Float32Array {
  return bytes.byteOffset % 4 === 0
    ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    : new Float32Array(new Uint8Array(bytes).buffer);
}

const manifest = JSON.parse(await readFile(new URL(import.meta.resolve('ws/package.json')), 'utf8')) as {
  version: string;
};

await serveCoordinator({
  version: manifest.version,
  notes: [
    'ws and msgpackr with bufferutil, one message packed for all workers, sums and SGD in plain loops, nothing checked',
  ],
  maxFrameBytes: 2 * vectorBytes,
  begin,
});
