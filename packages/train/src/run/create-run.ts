/** Creates a run from what the options of a command came to. */
import { bytesPerSample } from '@lockstep/data';
import { initialize, parameterCount } from '@lockstep/nn';
import { floatsOf, lossyEncodings } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import {
  type ComputeSetup,
  checkedSetup,
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  defaultLimits,
  formatOf,
  type Limits,
  type NumericsCheck,
  ParameterServer,
  Run,
  type RunOptions,
  referenceOf,
  type ShardSource,
} from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { newSecret } from '../new-secret.ts';
import type { Platform } from '../platform.ts';
import type { Prepared } from '../prepared.ts';

export interface CreateRunOptions extends Pick<RunOptions, 'onEvent' | 'onStep' | 'onTrace' | 'onStart'> {
  readonly prepared: Prepared;
  readonly platform: Pick<Platform, 'sha256' | 'newSha256'>;
  readonly backend: HostBackend;
  readonly startWorkers: number;
  readonly limits?: Partial<Limits>;
  readonly waitForStart?: boolean;
  readonly faultInjection?: boolean;
  readonly anotherMayFollow?: boolean;
  /** Where the run goes on from. */
  readonly resumeFrom?: Checkpoint | undefined;
}

export interface CreatedRun {
  readonly run: Run;
  readonly parameterServer: ParameterServer;
  readonly limits: Limits;
  readonly samples: ShardSource;
  readonly numericsCheck: NumericsCheck;
  /** What this process computed for the check. */
  readonly reference: Awaited<ReturnType<typeof checkOwnNumerics>>;
}

/** Bytes of a message beside the numbers of a gradient. */
const messageOverheadBytes = 64 * 1024;
/** A run waits this long for all of its workers, then begins with those that have joined. */
const startWithinMs = 10_000;

export async function createRun(options: CreateRunOptions): Promise<CreatedRun> {
  const {
    backend,
    prepared,
    platform: { sha256, newSha256 },
    startWorkers,
    waitForStart = false,
    faultInjection = false,
    anotherMayFollow = false,
    resumeFrom,
    limits: bounds,
    ...callbacks
  } = options;
  const { model, plan, config, optimizer, train, token, verifyRate, allTakePart } = prepared;
  const vectorBytes = parameterCount(model) * 4;
  const { chunkBytes } = { ...defaultLimits, ...bounds };
  const maxFrameBytes = Math.min(vectorBytes, chunkBytes) + messageOverheadBytes;
  const limits = { ...defaultLimits, maxFrameBytes, ...bounds };
  const format = formatOf(train);
  const { targetType } = format;
  const { microbatchSize, innerSteps } = plan;
  const setup = checkedSetup({ model, microbatchSize, targetType, innerSteps });
  const numericsCheck = createNumericsCheck(model, setup.microbatchSize, format);
  // First, since the vectors of the parameter server then take the memory that it leaves.
  const reference = await checkOwnNumerics(backend, setup, numericsCheck, sha256);
  const parameterServer = new ParameterServer({ backend, plan, optimizer, ...beginning(prepared, resumeFrom) });
  const samples = createShardSource(train, plan, config.seed);
  const run = new Run({
    setup: {
      plan,
      model,
      seed: config.seed,
      format,
      sampleBytes: bytesPerSample(train),
      gradients: lossyEncodings.find((name) => name === config.gradients),
      limits,
      token,
      startWorkers,
      startWithinMs,
      waitForStart,
      faultInjection,
      ...(allTakePart && { participation: 'rotation' as const }),
      anotherMayFollow,
      verifyRate,
      verifySalt: crypto.getRandomValues(new Uint32Array(1))[0]!,
      refereeHash: reference.hash,
      refereeMode: backend.numericMode,
    },
    ...(resumeFrom && { firstStep: resumeFrom.step, history: resumeFrom.history }),
    samples,
    referee: createReferee({
      model,
      targetType,
      plan,
      samples,
      seed: config.seed,
      parameterServer,
    }),
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

/** What the first step begins with. */
function beginning({ model, config, initialWeights }: Prepared, resumeFrom: Checkpoint | undefined) {
  if (!resumeFrom) return { weights: initialWeights ?? initialize(model, config.seed) };
  const { weights, optimizer: optimizerState, step: firstStep } = resumeFrom;
  return { weights, optimizerState, firstStep };
}

/** What this process computes for the numerics check, which the workers' answers are compared with, and how fast. */
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
