/** The coordinator of a run, as a program: rules, sums and optimizer behind WebSockets, without files or dashboard. */
import { createHash, randomBytes } from 'node:crypto';
import {
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  ParameterServer,
  referenceOf,
} from '@lockstep/compute';
import { subprotocol, webSocketTransport } from '@lockstep/protocol';
import { defaultLimits, formatOf, planRun } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { Run } from '@lockstep/train/internal';
import { systemClock } from '@lockstep/worker';
import {
  batchOf,
  initialWeights,
  learningRate,
  microbatchSize,
  model,
  pixelsPerSample,
  vectorBytes,
} from '../../workloads/coordinator-load.ts';
import { type BurstRun, serveCoordinator } from './serve-coordinator.ts';

const samples = 4096;
const maxFrameBytes = vectorBytes + 64 * 1024;

const { backend } = (await openBackend('auto')) as { readonly backend: HostBackend };
const numericsCheck = createNumericsCheck(model, microbatchSize);
const compute = createLocalCompute(backend, systemClock);
await compute.open({ model, microbatchSize });
compute.setWeights(numericsCheck.weights);
const { gradient } = await compute.gradient(numericsCheck.samples, numericsCheck.targets);
const referenceGradient = referenceOf(new Float32Array(gradient.slice().buffer));
await compute.close();

const dataset = {
  samples: Uint8Array.from({ length: samples * pixelsPerSample }, (_, index) => (index * 37) & 255),
  sampleShape: [28, 28, 1],
  count: samples,
  targets: {
    type: 'classes',
    labels: Uint16Array.from({ length: samples }, (_, index) => index % 10),
    names: [...'0123456789'],
  },
} as const;
const format = formatOf(dataset);
// A worker may be late on a busy machine; the measurement needs every worker in every step, and no work done twice.
const limits = {
  ...defaultLimits,
  softDeadlineMs: 60_000,
  hardDeadlineMs: 60_000,
  maxFrameBytes,
};
let parameterServer: ParameterServer | undefined;

function begin(workers: number, steps: number, onStep: () => void): BurstRun {
  parameterServer?.dispose();
  const batch = batchOf(workers);
  const plan = planRun({ samples, batch, epochs: Math.ceil((steps * batch) / samples), steps, microbatchSize });
  const optimizer = { type: 'sgd', learningRate } as const;
  const server = new ParameterServer({ backend, plan, weights: initialWeights(), optimizer });
  parameterServer = server;
  const source = createShardSource(dataset, plan, 1);
  const run = new Run({
    setup: {
      plan,
      model,
      format,
      limits,
      startWorkers: workers,
      startWithinMs: 60_000,
    },
    samples: source,
    parameterServer: server,
    numericsCheck,
    referenceGradient,
    referee: createReferee({
      model,
      targetType: format.targetType,
      plan,
      samples: source,
      seed: 0,
      parameterServer: server,
    }),
    clock: systemClock,
    newHash: () => createHash('sha256'),
    newResumeKey: () => randomBytes(16).toString('base64url'),
    onStep: () => onStep(),
  });
  return {
    connect(socket) {
      const transport = webSocketTransport(socket, { side: 'coordinator', remote: 'a worker', maxFrameBytes });
      // Its workers send a precomputed vector instead of a gradient: checks would take them for liars.
      run.connect(transport, '', true);
    },
    ended: run.outcome.then((outcome) => {
      if (outcome.type === 'failed') throw new Error(outcome.message);
    }),
    weights: () => server.weights(),
  };
}

await serveCoordinator({
  version: '',
  notes: [
    `every message checked, sums in a fixed tree and SGD on ${backend.name}; workers say hello, are checked, and get their pixels one step ahead`,
  ],
  subprotocol,
  maxFrameBytes,
  begin,
});
