/** Puts a run together: numbers, rules, and a clock: systemClock, for the options of one command. */
import { createHash, randomBytes } from 'node:crypto';
import { initialize, parameterCount } from '@lockstep/nn';
import { openChecksum } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/train';
import {
  createLocalCompute,
  createNumericsCheck,
  createShardSource,
  defaultLimits,
  type Limits,
  ParameterServer,
  type Run,
  type RunEvent,
  type StepResult,
  startRun,
  type Trace,
} from '@lockstep/training';
import type { Prepared } from './prepare.ts';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export interface AssembleOptions {
  readonly prepared: Prepared;
  readonly backend: HostBackend;
  readonly startWorkers: number;
  /** Other bounds than the usual ones. */
  readonly limits?: Partial<Limits>;
  readonly onEvent: (event: RunEvent) => void;
  readonly onStep: (result: StepResult) => void;
  readonly onTrace?: (trace: Trace) => void;
  readonly waitForStart?: boolean;
  readonly faultInjection?: boolean;
}

export interface Assembled {
  readonly run: Run;
  readonly parameterServer: ParameterServer;
  readonly limits: Limits;
}

/** What a message may add to the numbers of a gradient. */
const messageRoomBytes = 64 * 1024;
/** A run begins without its missing workers after so long. */
const startWithinMs = 10_000;

export async function assemble(options: AssembleOptions): Promise<Assembled> {
  const { backend, prepared, startWorkers, onEvent, onStep, onTrace } = options;
  const { waitForStart = false, faultInjection = false } = options;
  const { model, plan, config, optimizer, train, token } = prepared;
  const maxFrameBytes = parameterCount(model) * 4 + messageRoomBytes;
  const limits = { ...defaultLimits, maxFrameBytes, ...options.limits };
  const parameterServer = new ParameterServer({ backend, plan, weights: initialize(model, config.seed), optimizer });
  const numericsCheck = createNumericsCheck(model, plan.microbatchSize);

  const compute = createLocalCompute(backend, systemClock);
  await compute.open({ model, microbatchSize: plan.microbatchSize });
  compute.setWeights(numericsCheck.weights);
  const { gradient } = await compute.gradient(numericsCheck.pixels, numericsCheck.labels);
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
      faultInjection,
    },
    samples: createShardSource(train, plan, config.seed),
    parameterServer,
    numericsCheck,
    referenceGradient: new Float32Array(gradient.slice().buffer),
    clock: systemClock,
    checksum: await openChecksum(),
    hash: sha256,
    newResumeKey: () => randomBytes(16).toString('base64url'),
    onEvent,
    onStep,
    ...(onTrace === undefined ? {} : { onTrace }),
  });
  return { run, parameterServer, limits };
}
