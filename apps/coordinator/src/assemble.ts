/** Puts a run together: numbers, rules, and a clock, for the options of one command. */
import { createHash, randomBytes } from 'node:crypto';
import { initialise, parameterCount } from '@lockstep/nn';
import { openChecksum } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import {
  type Clock,
  createBlockSource,
  createLearner,
  createLocalCompute,
  createProbe,
  defaultLimits,
  type Learner,
  type Limits,
  type Notice,
  type Run,
  type StepResult,
  startRun,
  type Trace,
} from '@lockstep/training';
import type { Prepared } from './prepare.ts';

export const clock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export interface AssembleOptions {
  readonly prepared: Prepared;
  readonly backend: HostBackend;
  readonly startWorkers: number;
  /** Other bounds than the usual ones. */
  readonly limits?: Partial<Limits>;
  readonly onNotice: (notice: Notice) => void;
  readonly onStep: (result: StepResult) => void;
  readonly onTrace?: (trace: Trace) => void;
  readonly waitForStart?: boolean;
  readonly chaos?: boolean;
}

export interface Assembled {
  readonly run: Run;
  readonly learner: Learner;
  readonly limits: Limits;
}

/** What a message may add to the numbers of a gradient. */
const messageRoomBytes = 64 * 1024;
/** A run begins without its missing workers after so long. */
const startWithinMs = 10_000;

export async function assemble(options: AssembleOptions): Promise<Assembled> {
  const { backend, prepared, startWorkers, onNotice, onStep, onTrace } = options;
  const { waitForStart = false, chaos = false } = options;
  const { model, plan, config, optimizer, train, token } = prepared;
  const maxFrameBytes = parameterCount(model) * 4 + messageRoomBytes;
  const limits = { ...defaultLimits, maxFrameBytes, ...options.limits };
  const learner = createLearner({ backend, plan, weights: initialise(model, config.seed), optimizer });
  const probe = createProbe(model, plan.leafSize);

  const compute = createLocalCompute(backend, clock);
  await compute.open({ model, leafSize: plan.leafSize });
  compute.setWeights(probe.weights);
  const { gradient } = await compute.gradient(probe.pixels, probe.labels);
  await compute.close();

  const run = startRun({
    setup: {
      plan,
      model,
      seed: config.seed,
      sampleBytes: train.rows * train.columns,
      gradients: config.gradients,
      limits,
      token,
      startWorkers,
      startWithinMs,
      waitForStart,
      chaos,
    },
    samples: createBlockSource(train, plan, config.seed),
    learner,
    probe,
    probeGradient: new Float32Array(gradient.slice().buffer),
    clock,
    checksum: await openChecksum(),
    hash: sha256,
    newResumeKey: () => randomBytes(16).toString('base64url'),
    onNotice,
    onStep,
    ...(onTrace === undefined ? {} : { onTrace }),
  });
  return { run, learner, limits };
}
