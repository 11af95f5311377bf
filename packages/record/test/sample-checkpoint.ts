/** A checkpoint of a small run, for tests. */
import type { Checkpoint } from '../src/checkpoint.ts';

export const sampleCheckpoint: Checkpoint = {
  step: 150,
  identity: {
    model: { name: 'tiny', layers: [{ type: 'dense', units: 3 }] },
    data: 'aa',
    seed: 1,
    batch: 16,
    microbatchSize: 4,
    optimizer: { type: 'momentum', learningRate: 0.05 },
    gradients: 'exact',
  },
  weights: Float32Array.of(1, -0, 3.5, 1e-40, -2),
  optimizer: { step: 150, slots: { buffer: Float32Array.of(0, -0, 5, 6, 7) } },
  progress: {
    epochs: [],
    lossSum: 12.5,
    correct: 3,
    count: 40,
    initialLoss: 2.3,
    images: 2400,
    seconds: 1.5,
    epochSeconds: 0.5,
    curve: { points: [], stride: 1, partial: null, partialSteps: 0 },
    wire: { bytesSent: 10, bytesReceived: 20 },
    resumedAtSteps: [],
  },
  history: {
    workers: [],
    joined: 2,
    faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 },
    contributed: [{ numericMode: 'f32-mul-add.v1', numericsHash: 'aaaaaaaa', backend: 'cpu' }],
  },
  unevaluated: [],
};
