/** Creates a run from its resolved options, and the workers of this process. */

import {
  type Compute,
  checkedSetup,
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  createYield,
  InlineCopy,
  InlineGradient,
  ParameterServer,
  referenceOf,
} from '@lockstep/compute';
import { InlineWorker, Run, type RunOptions } from '@lockstep/coordinator';
import { bytesPerSample, fieldOf } from '@lockstep/data';
import { initialize, optimizerRule, parameterCount, parameterLayout } from '@lockstep/nn';
import { floatsOf } from '@lockstep/protocol';
import { type Checkpoint, newSecret, noTraffic, type Report, type TurnedAway } from '@lockstep/record';
import { formatOf, type Limits, limitsFor, localChunkBytes } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import type { Platform } from './platform.ts';
import type { Prepared } from './prepared.ts';

interface CreateRunOptions
  extends Pick<RunOptions, 'onEvent' | 'onStep' | 'onKeep' | 'onGoBack' | 'onTrace' | 'onStart' | 'transcript'> {
  readonly prepared: Prepared;
  readonly platform: Pick<Platform, 'sha256' | 'newSha256'>;
  readonly backend: HostBackend;
  readonly startWorkers: number;
  readonly limits?: Partial<Limits>;
  readonly resumeFrom?: Checkpoint | undefined;
}

/** The workers of a run, wherever they compute. */
export interface WorkerPool {
  /** Bytes between the coordinator and all workers so far. */
  traffic(): Report['wire'];
  /** Rejected connections and tokens so far; omitted if there are no sockets. */
  turnedAway?(): TurnedAway;
  /** Stops the workers of this process, unless they stay for another run; resolves when they have ended. */
  stop(): Promise<void>;
  /** From now on, lets no worker join and no viewer watch. */
  close(): Promise<void>;
}

/** The pool of a run with nothing left to compute. */
export const idlePool: WorkerPool = {
  traffic: () => noTraffic,
  stop: async () => {},
  close: async () => {},
};

export type CreatedRun = Awaited<ReturnType<typeof createRun>>;

/** Milliseconds that a run waits for all of its workers before it starts with those that have joined. */
const startWithinMs = 10_000;

/** For a run's only worker, which no other can replace: this process computes it, and may have been frozen. */
const anyTime = {
  numericsCheckMs: Number.POSITIVE_INFINITY,
  deadMs: Number.POSITIVE_INFINITY,
  hardDeadlineMs: Number.POSITIVE_INFINITY,
};

export async function createRun(options: CreateRunOptions) {
  const { prepared, backend, platform, startWorkers, limits: bounds, resumeFrom, ...callbacks } = options;
  const { model, plan, config, train, listen } = prepared;
  const { seed, augment } = config;
  const { targetField } = formatOf(train);
  const { microbatchSize, innerSteps } = plan;
  // A run that had stopped early takes no further step.
  const firstStep = resumeFrom?.choice?.lastEpoch ? plan.steps : resumeFrom?.step;
  // Done first, so that the parameter server's vectors reuse the memory it frees.
  const numerics = await checkOwnNumerics(backend, prepared, platform.sha256);
  const { numericsCheck, gradient: referenceGradient } = numerics;
  const parameterServer = new ParameterServer({
    ...{ backend, plan, optimizer: prepared.optimizer, layout: parameterLayout(model), frozen: prepared.frozen },
    ...beginning(prepared, resumeFrom),
    beginning: () => beginning(prepared, resumeFrom),
    ...(firstStep !== undefined && { firstStep }),
  });
  const samples = createShardSource(train, plan, seed, augment);
  // A run that other machines can join has a token.
  const ofThisMachine = prepared.token === undefined ? { chunkBytes: localChunkBytes } : {};
  const limits = limitsFor(parameterCount(model), { ...ofThisMachine, ...(listen ? {} : anyTime), ...bounds });
  const run = new Run({
    setup: {
      ...{ startWorkers, startWithinMs, limits, plan, model, seed },
      ...prepared.rules,
      token: prepared.token,
      waitForStart: listen?.waitForStart ?? false,
      faultInjection: listen?.faultInjection ?? false,
      anotherMayFollow: listen?.stay ?? false,
      format: formatOf(train),
      // Augmented samples differ in each epoch, so workers cannot cache them.
      ...(augment ? {} : { sampleBytes: bytesPerSample(train) }),
      keptStates: keptStatesOf(prepared),
      verifySalt: crypto.getRandomValues(new Uint32Array(1))[0]!,
      refereeHash: numerics.hash,
      refereeMode: backend.numericMode,
    },
    ...(firstStep !== undefined && { firstStep }),
    ...(resumeFrom && { history: resumeFrom.history }),
    ...{ samples, parameterServer, numericsCheck, referenceGradient },
    referee: createReferee({ model, targetField, plan, samples, seed, parameterServer }),
    clock: systemClock,
    newHash: platform.newSha256,
    newResumeKey: newSecret,
    ...callbacks,
  });

  /** Computes with the parameter server's own weights and backend. */
  const inPlace = (yieldToOthers?: () => Promise<void>) =>
    new InlineGradient({
      ...{ parameterServer, model, plan, samples, seed, yieldToOthers, numerics },
      addsWhole: options.transcript !== undefined,
      ...{ dataset: train, clock: systemClock },
    });
  return {
    ...{ run, parameterServer },
    /** Starts the only worker of a run. @param compute by default the parameter server's own backend */
    async startInlineWorker(compute?: Compute): Promise<WorkerPool> {
      const computeSetup = { model, microbatchSize, targetField, innerSteps };
      // Fails here if it cannot compute at all.
      await compute?.open(computeSetup);
      const inline = compute
        ? new InlineCopy({
            ...{ compute, parameterServer, plan, samples, seed, numericsCheck, referenceGradient },
            ...{ setup: computeSetup, hash: platform.sha256 },
          })
        : inPlace();
      // The worker yields to signals and the terminal.
      run.connectInline(new InlineWorker({ compute: inline, name: 'this process', clock: systemClock }));
      return { ...idlePool, stop: async () => compute?.close() };
    },
    /** Starts a worker in this process besides those that join over the network. */
    startColocatedWorker(): void {
      const compute = inPlace(createYield(() => run.unsent, systemClock));
      run.connectInline(new InlineWorker({ compute, name: 'coordinator', clock: systemClock, hasOthers: true }));
    },
  };
}

/** Most bytes and number of earlier states to which a run can go back. Without any, it goes back to its beginning. */
const mostKeptBytes = 128 * 1024 * 1024;
const mostKeptStates = 16;

/** Returns how many states of weights and optimizer are kept in memory. */
function keptStatesOf({ model, optimizer }: Prepared): number {
  const vectors = 1 + optimizerRule(optimizer).slots(optimizer).length;
  return Math.min(mostKeptStates, Math.floor(mostKeptBytes / (vectors * 4 * parameterCount(model))));
}

/** Weights and optimizer state before the first step. */
function beginning({ model, config, initialWeights }: Prepared, resumeFrom: Checkpoint | undefined) {
  if (!resumeFrom) return { weights: initialWeights ?? initialize(model, config.seed) };
  const { weights, optimizer: optimizerState } = resumeFrom;
  return { weights, optimizerState };
}

/** Computes the numerics check in this process, as the reference for the workers' answers and for the speed. */
export async function checkOwnNumerics(
  backend: HostBackend,
  { model, plan, train }: Pick<Prepared, 'model' | 'plan' | 'train'>,
  sha256: (bytes: Uint8Array) => string,
) {
  const { microbatchSize, innerSteps } = plan;
  const setup = checkedSetup({ model, microbatchSize, targetField: fieldOf(train.targets), innerSteps });
  const numericsCheck = createNumericsCheck(model, setup.microbatchSize, formatOf(train));
  const compute = createLocalCompute(backend, systemClock);
  await compute.open(setup);
  compute.setWeights(numericsCheck.weights);
  const { samples, targets, count } = numericsCheck;
  const { gradient: bytes, computeMs } = await compute.gradient(samples, targets, { inPlace: true });
  const samplesPerMs = computeMs > 0 ? count / computeMs : 0;
  const checked = { numericsCheck, gradient: referenceOf(floatsOf(bytes)), hash: sha256(bytes), samplesPerMs };
  await compute.close();
  return checked;
}
