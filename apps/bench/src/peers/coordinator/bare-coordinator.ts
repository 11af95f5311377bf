/** The coordinator of a bare star, as a program: it sends weights and pixels, adds gradients, and steps. */
import { readFile } from 'node:fs/promises';
import type { WebSocket } from 'ws';
import { batchOf, initialWeights, learningRate, pixelsPerSample, vectorBytes } from '../../work/coordinator-load.ts';
import { type BareGradient, type BareMessage, packr } from './bare-messages.ts';
import { type BurstRun, serveCoordinator } from './serve-coordinator.ts';

class BareRun implements BurstRun {
  readonly ended: Promise<void>;
  #end = (): void => {};
  readonly #workers: number;
  readonly #steps: number;
  readonly #onStep: () => void;
  readonly #weights = initialWeights();
  readonly #sum = new Float32Array(this.#weights.length);
  readonly #sockets: WebSocket[] = [];
  #step = 0;
  #gradients = 0;

  constructor(workers: number, steps: number, onStep: () => void) {
    this.#workers = workers;
    this.#steps = steps;
    this.#onStep = onStep;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  connect(socket: WebSocket): void {
    this.#sockets.push(socket);
    socket.on('message', (frame: Buffer) => this.#add(floatsOf((packr.unpack(frame) as BareGradient).bytes)));
    if (this.#sockets.length === this.#workers) this.#send();
  }

  weights(): Float32Array {
    return this.#weights;
  }

  #send(): void {
    const step = this.#step;
    const share = batchOf(this.#workers) / this.#workers;
    const bytes = new Uint8Array(this.#weights.buffer, this.#weights.byteOffset, this.#weights.byteLength);
    const frame = packr.pack({ type: 'weights', step, bytes } satisfies BareMessage);
    const pixels = new Uint8Array(share * pixelsPerSample).fill(step & 255);
    const labels = new Uint8Array(share).fill(step % 10);
    for (const socket of this.#sockets) {
      socket.send(frame);
      socket.send(packr.pack({ type: 'task', step, pixels, labels } satisfies BareMessage));
    }
  }

  #add(gradient: Float32Array): void {
    const sum = this.#sum;
    if (this.#gradients === 0) sum.set(gradient);
    else for (let index = 0; index < sum.length; index++) sum[index]! += gradient[index]!;
    this.#gradients += 1;
    if (this.#gradients === this.#workers) this.#takeStep();
  }

  #takeStep(): void {
    this.#gradients = 0;
    const rate = learningRate / batchOf(this.#workers);
    const [weights, sum] = [this.#weights, this.#sum];
    for (let index = 0; index < sum.length; index++) weights[index]! -= rate * sum[index]!;
    this.#step += 1;
    this.#onStep();
    if (this.#step < this.#steps) {
      this.#send();
      return;
    }
    this.#end();
    for (const socket of this.#sockets) socket.close();
  }
}

/** The float32 values of bytes that may lie at any address. */
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
  begin: (workers, steps, onStep) => new BareRun(workers, steps, onStep),
});
