/** Creates a run from its resolved options. */

import {
  type Compute,
  type ComputeSetup,
  checkedSetup,
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  createYield,
  type InlineCompute,
  InlineCopy,
  InlineGradient,
  type NumericsCheck,
  ParameterServer,
  referenceOf,
  type ShardSource,
} from '@lockstep/compute';
import { bytesPerSample } from '@lockstep/data';
import { initialize, type Model, parameterCount } from '@lockstep/nn';
import { floatsOf } from '@lockstep/protocol';
import { defaultLimits, formatOf, type Limits } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { InlineWorker } from '../coordinator/inline-worker.ts';
import { Run } from '../coordinator/run.ts';
import type { RunOptions } from '../coordinator/run-options.ts';
import { newSecret } from '../new-secret.ts';
import type { Platform } from '../platform.ts';
import type { Prepared } from '../prepared.ts';
import type { WorkerPool } from '../site/site.ts';

export interface CreateRunOptions extends Pick<RunOptions, 'onEvent' | 'onStep' | 'onTrace' | 'onStart'> {
  readonly prepared: Prepared;
  readonly platform: Pick<Platform, 'sha256' | 'newSha256'>;
  readonly backend: HostBackend;
  readonly startWorkers: number;
  readonly limits?: Partial<Limits>;
  readonly waitForStart?: boolean;
  readonly faultInjection?: boolean;
  readonly anotherMayFollow?: boolean;
  /** Checkpoint that the run resumes from. */
  readonly resumeFrom?: Checkpoint | undefined;
}

export interface CreatedRun {
  readonly run: Run;
  readonly parameterServer: ParameterServer;
  readonly limits: Limits;
  readonly samples: ShardSource;
  readonly numericsCheck: NumericsCheck;
  /** This process's own result of the numerics check. */
  readonly reference: Awaited<ReturnType<typeof checkOwnNumerics>>;
}

/** Bytes of a message besides the numbers of a gradient. */
const messageOverheadBytes = 64 * 1024;
/** Milliseconds that a run waits for all of its workers before it starts with those that have joined. */
const startWithinMs = 10_000;

export async function createRun(options: CreateRunOptions): Promise<CreatedRun> {
  const { prepared, backend, platform, startWorkers, limits: bounds, resumeFrom, ...others } = options;
  const { waitForStart = false, faultInjection = false, anotherMayFollow = false, ...callbacks } = others;
  const { model, plan, config, optimizer, train } = prepared;
  const { seed } = config;
  const { sha256, newSha256 } = platform;
  const { microbatchSize, innerSteps } = plan;
  const { targetType } = formatOf(train);
  const checked = checkedSetup({ model, microbatchSize, targetType, innerSteps });
  const numericsCheck = createNumericsCheck(model, checked.microbatchSize, formatOf(train));
  // Done first, so that the parameter server's vectors reuse the memory it frees.
  const reference = await checkOwnNumerics(backend, checked, numericsCheck, sha256);
  const parameterServer = new ParameterServer({ backend, plan, optimizer, ...beginning(prepared, resumeFrom) });
  const samples = createShardSource(train, plan, seed);
  const limits = limitsOf(model, bounds);
  const run = new Run({
    setup: {
      ...{ startWorkers, startWithinMs, waitForStart, faultInjection, anotherMayFollow, limits },
      ...setupOf(prepared),
      refereeHash: reference.hash,
      refereeMode: backend.numericMode,
    },
    ...(resumeFrom && { firstStep: resumeFrom.step, history: resumeFrom.history }),
    samples,
    referee: createReferee({ model, targetType, plan, samples, seed, parameterServer }),
    parameterServer,
    numericsCheck,
    referenceGradient: reference.gradient,
    clock: systemClock,
    newHash: newSha256,
    newResumeKey: newSecret,
    ...callbacks,
  });
  return { run, parameterServer, limits, samples, numericsCheck, reference };
}

/** The part of the setup that depends only on the options. */
function setupOf({ model, plan, config, train, token, verifyRate, allTakePart }: Prepared) {
  return {
    ...{ plan, model, token, verifyRate },
    seed: config.seed,
    format: formatOf(train),
    sampleBytes: bytesPerSample(train),
    ...(allTakePart && { participation: 'rotation' as const }),
    verifySalt: crypto.getRandomValues(new Uint32Array(1))[0]!,
  };
}

/** Limits messages to the size that a chunk of the model's vectors needs. */
function limitsOf(model: Model, bounds: Partial<Limits> | undefined): Limits {
  const { chunkBytes } = { ...defaultLimits, ...bounds };
  const maxFrameBytes = Math.min(parameterCount(model) * 4, chunkBytes) + messageOverheadBytes;
  return { ...defaultLimits, maxFrameBytes, ...bounds };
}

/** Weights and optimizer state before the first step. */
function beginning({ model, config, initialWeights }: Prepared, resumeFrom: Checkpoint | undefined) {
  if (!resumeFrom) return { weights: initialWeights ?? initialize(model, config.seed) };
  const { weights, optimizer: optimizerState, step: firstStep } = resumeFrom;
  return { weights, optimizerState, firstStep };
}

/** Computes the numerics check in this process, as the reference for the workers' answers and for the speed. */
async function checkOwnNumerics(
  backend: HostBackend,
  setup: ComputeSetup,
  check: NumericsCheck,
  sha256: (bytes: Uint8Array) => string,
) {
  const { weights, samples, targets, count } = check;
  const compute = createLocalCompute(backend, systemClock);
  await compute.open(setup);
  compute.setWeights(weights);
  const { gradient: bytes, computeMs } = await compute.gradient(samples, targets, { inPlace: true });
  const checked = {
    gradient: referenceOf(floatsOf(bytes)),
    hash: sha256(bytes),
    samplesPerMs: computeMs > 0 ? count / computeMs : 0,
  };
  await compute.close();
  return checked;
}

/** The pool of a run with nothing left to compute. */
export const idlePool: WorkerPool = {
  traffic: () => ({ bytesSent: 0, bytesReceived: 0 }),
  stop: async () => {},
  close: async () => {},
};

/** Starts the only worker of a run. @param compute by default the parameter server's own backend */
export async function startInlineWorker(
  created: CreatedRun,
  prepared: Prepared,
  platform: Platform,
  compute?: Compute,
): Promise<WorkerPool> {
  const { run } = created;
  run.connectInline(
    new InlineWorker({
      compute: compute ? await copying(created, prepared, platform, compute) : inPlace(created, prepared),
      name: 'this process',
      // Yields to signals and the terminal.
      clock: systemClock,
    }),
  );
  return { ...idlePool, stop: async () => compute?.close() };
}

/** Starts a worker in this process besides those that join over the network. */
export function startColocatedWorker(created: CreatedRun, prepared: Prepared): void {
  const { run } = created;
  const yieldToOthers = createYield(() => run.unsent, systemClock);
  const compute = inPlace(created, prepared, yieldToOthers);
  run.connectInline(new InlineWorker({ compute, name: 'coordinator', clock: systemClock, hasOthers: true }));
}

function inPlace(
  { parameterServer, samples, reference }: CreatedRun,
  prepared: Prepared,
  yieldToOthers?: () => Promise<void>,
): InlineCompute {
  const { model, plan, train, config } = prepared;
  const { seed } = config;
  const clock = systemClock;
  return new InlineGradient({
    parameterServer,
    model,
    plan,
    dataset: train,
    samples,
    seed,
    clock,
    yieldToOthers,
    numerics: reference,
  });
}

async function copying(
  created: CreatedRun,
  { model, plan, config, train }: Prepared,
  { sha256 }: Platform,
  compute: Compute,
): Promise<InlineCompute> {
  const { parameterServer, samples, numericsCheck, reference } = created;
  const { microbatchSize, innerSteps } = plan;
  const setup = { model, microbatchSize, targetType: train.targets.type, innerSteps };
  // Fails here if it cannot compute at all.
  await compute.open(setup);
  const common = { compute, setup, parameterServer, plan, samples, seed: config.seed };
  return new InlineCopy({ ...common, numericsCheck, referenceGradient: reference.gradient, hash: sha256 });
}
