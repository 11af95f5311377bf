/** The coordinator of a run, as a program: its rules, sums and optimizer behind WebSockets, without data files, pages and reports. */
import { createHash, randomBytes } from 'node:crypto';
import { parameterCount } from '@lockstep/nn';
import { openChecksum, subprotocol, webSocketTransport } from '@lockstep/protocol';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import {
  type BlockSource,
  type Clock,
  createBlockSource,
  createLearner,
  createLocalCompute,
  createProbe,
  defaultLimits,
  type Learner,
  planRun,
  startRun,
} from '@lockstep/training';
import { starBatch, starInitial, starLeafSize, starLearningRate, starModel, starPixels } from '../../work/star.ts';
import { type StarRun, serveStar } from './coordinator-program.ts';

const samples = 4096;
const maxFrameBytes = parameterCount(starModel) * 4 + 64 * 1024;

const clock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const { backend } = (await openBackend('auto')) as { readonly backend: HostBackend };
const checksum = await openChecksum();
const probe = createProbe(starModel, starLeafSize);
const compute = createLocalCompute(backend, clock);
await compute.open({ model: starModel, leafSize: starLeafSize });
compute.setWeights(probe.weights);
const probeGradient = new Float32Array((await compute.gradient(probe.pixels, probe.labels)).gradient.slice().buffer);
await compute.close();

const dataset = {
  images: Uint8Array.from({ length: samples * starPixels }, (_, index) => (index * 37) & 255),
  labels: Uint8Array.from({ length: samples }, (_, index) => index % 10),
  count: samples,
  rows: 28,
  columns: 28,
  classes: 10,
};
let learner: Learner | undefined;

function begin(workers: number, steps: number, onStep: () => void): StarRun {
  learner?.dispose();
  const batch = starBatch(workers);
  const epochs = Math.ceil((steps * batch) / samples);
  const plan = planRun({ samples, batch, epochs, steps, leafSize: starLeafSize });
  const source: BlockSource = createBlockSource(dataset, plan, 1);
  const optimizer = { type: 'sgd', learningRate: starLearningRate } as const;
  const owned = createLearner({ backend, plan, weights: starInitial(), optimizer });
  learner = owned;
  const run = startRun({
    setup: {
      plan,
      model: starModel,
      // On a busy machine a worker may be late, but work done twice is not what is measured.
      limits: { ...defaultLimits, softDeadlineMs: 60_000, hardDeadlineMs: 60_000, maxFrameBytes },
      startWorkers: workers,
      startWithinMs: 60_000,
    },
    samples: source,
    learner: owned,
    probe,
    probeGradient,
    clock,
    checksum,
    hash: sha256,
    newResumeKey: () => randomBytes(16).toString('base64url'),
    onStep: () => onStep(),
  });
  return {
    connect: (socket) =>
      run.connect(webSocketTransport(socket, { side: 'coordinator', remote: 'a worker', maxFrameBytes })),
    ended: run.outcome.then((outcome) => {
      if (outcome.type === 'failed') throw new Error(outcome.sentence);
    }),
    weights: () => owned.weights(),
  };
}

await serveStar({
  version: '',
  notes: [
    `every message checked, sums in a fixed tree and SGD on ${backend.name}; workers greet, are probed, and get their pixels one step ahead`,
  ],
  subprotocol,
  maxFrameBytes,
  begin,
});
