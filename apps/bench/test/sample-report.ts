/** Made-up reports with chosen times, for tests of the figures derived from them. */
import { classField, scaledField } from '@lockstep/data';
import type { Report } from '@lockstep/train';

export interface SampleOptions {
  readonly batch?: number;
  readonly workers?: number | 'single' | 'threads' | 'processes';
  readonly computeMs?: number;
  readonly stepMs?: number;
  readonly steps?: number;
  readonly weightsSha256?: string;
  readonly exactness?: Report['exactness'];
}

/** Every step takes `stepMs`, and loss falls as 1 / steps. */
export function reportOf(options: SampleOptions): Report {
  const { batch = 512, workers = 'single', computeMs = 2, stepMs = 3, steps = 20 } = options;
  return {
    lockstep: '0.1.0',
    startedAt: '2026-01-02T03:04:05.678Z',
    machine: { runtime: 'Node 20.20.2', system: 'Linux 6.12.1 x64', processor: null, cores: 2 },
    data: { name: 'MNIST', sha256: 'bb' },
    config: {
      data: { sampleField: scaledField([28, 28, 1]), targetField: classField, outputs: 10 },
      samples: 60_000,
      testSamples: 10_000,
      seed: 1,
      batch,
      microbatchSize: 64,
      epochs: 1,
      steps,
      optimizer: { type: 'sgd', learningRate: 0.1 },
      workers: workers === 'processes' ? 1 : typeof workers === 'string' ? 'single' : workers,
    },
    model: { name: 'mlp', parameters: 101_770 },
    initialLoss: 2.3,
    epochs: [],
    metrics: null,
    steps,
    resumedAtSteps: [],
    rewinds: [],
    wallSeconds: (steps * stepMs) / 1000,
    imagesPerSecond: (batch / stepMs) * 1000,
    weightsSha256: options.weightsSha256 ?? 'ab'.repeat(32),
    exactness: options.exactness ?? 'bit-exact',
    numericMode: (options.exactness ?? 'bit-exact') === 'bit-exact' ? 'f32-mul-add.v1' : null,
    bitExactAmong: null,
    verified: null,
    workers: [],
    wire:
      workers === 'single' || workers === 'threads'
        ? { bytesSent: 0, bytesReceived: 0 }
        : { bytesSent: steps * 1e6, bytesReceived: steps * 5e5 },
    faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 },
    checked: { shards: 40, of: 200 },
    turnedAway: { silent: 0, hasty: 0, full: 0, token: 0, origin: 0, flood: 0 },
    stepTimes: {
      steps: steps - 1,
      stepMs,
      packMs: (stepMs - computeMs) / 2,
      sendMs: (stepMs - computeMs) / 2,
      computeMs,
      waitMs: 0,
      reduceMs: 0,
      optimizerMs: 0,
    },
    curve: Array.from({ length: steps }, (_, index) => ({
      steps: index + 1,
      seconds: ((index + 1) * stepMs) / 1000,
      loss: 2.3 / (index + 1),
      accuracy: index / steps,
    })),
  };
}
