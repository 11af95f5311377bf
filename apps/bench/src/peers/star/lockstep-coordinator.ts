/** The coordinator of a run, as a program: its rules, sums and optimizer behind WebSockets, without data files, pages and reports. */
import { createHash, randomBytes } from 'node:crypto';
import { parameterCount } from '@lockstep/nn';
import { openChecksum, subprotocol, webSocketTransport } from '@lockstep/protocol';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/train';
import {
  createLocalCompute,
  createNumericsCheck,
  createShardSource,
  defaultLimits,
  ParameterServer,
  planRun,
  type ShardSource,
  startRun,
} from '@lockstep/training';
import {
  starBatch,
  starInitial,
  starLearningRate,
  starMicrobatchSize,
  starModel,
  starPixels,
} from '../../work/star.ts';
import { type StarRun, serveStar } from './coordinator-program.ts';

const samples = 4096;
const maxFrameBytes = parameterCount(starModel) * 4 + 64 * 1024;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const { backend } = (await openBackend('auto')) as { readonly backend: HostBackend };
const checksum = await openChecksum();
const numericsCheck = createNumericsCheck(starModel, starMicrobatchSize);
const compute = createLocalCompute(backend, systemClock);
await compute.open({ model: starModel, microbatchSize: starMicrobatchSize });
compute.setWeights(numericsCheck.weights);
const referenceGradient = new Float32Array(
  (await compute.gradient(numericsCheck.pixels, numericsCheck.labels)).gradient.slice().buffer,
);
await compute.close();

const dataset = {
  images: Uint8Array.from({ length: samples * starPixels }, (_, index) => (index * 37) & 255),
  labels: Uint8Array.from({ length: samples }, (_, index) => index % 10),
  count: samples,
  rows: 28,
  columns: 28,
  classes: 10,
};
let parameterServer: ParameterServer | undefined;

function begin(workers: number, steps: number, onStep: () => void): StarRun {
  parameterServer?.dispose();
  const batch = starBatch(workers);
  const epochs = Math.ceil((steps * batch) / samples);
  const plan = planRun({ samples, batch, epochs, steps, microbatchSize: starMicrobatchSize });
  const source: ShardSource = createShardSource(dataset, plan, 1);
  const optimizer = { type: 'sgd', learningRate: starLearningRate } as const;
  const owned = new ParameterServer({ backend, plan, weights: starInitial(), optimizer });
  parameterServer = owned;
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
    parameterServer: owned,
    numericsCheck,
    referenceGradient,
    clock: systemClock,
    checksum,
    hash: sha256,
    newResumeKey: () => randomBytes(16).toString('base64url'),
    onStep: () => onStep(),
  });
  return {
    connect: (socket) =>
      run.connect(webSocketTransport(socket, { side: 'coordinator', remote: 'a worker', maxFrameBytes })),
    ended: run.outcome.then((outcome) => {
      if (outcome.type === 'failed') throw new Error(outcome.message);
    }),
    weights: () => owned.weights(),
  };
}

await serveStar({
  version: '',
  notes: [
    `every message checked, sums in a fixed tree and SGD on ${backend.name}; workers greet, are checked, and get their pixels one step ahead`,
  ],
  subprotocol,
  maxFrameBytes,
  begin,
});
