/** The result of a run: weights, report, the model with them, and a second run that verifies the weights. */

import { checkKinds, functionKind, joinKinds, type KindsOf, oneOfKind } from '@lockstep/command/options';
import { fieldOf } from '@lockstep/data';
import { thousands } from '@lockstep/data/shown';
import { createRun, LoadedModel, type ModelFormat, modelFileOf, modelFormats, type Prepared } from '@lockstep/prepare';
import { bytesOf } from '@lockstep/protocol';
import type { Report, RunEnding, WrittenCheckpoint } from '@lockstep/record';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import type { Trained } from './run-training.ts';
import type { TrainingPlatform } from './training-platform.ts';

/** How a run ended: every step taken that it needed, stopped earlier by someone, or unable to go on. */
export type TrainingOutcome = 'finished' | 'stopped' | 'failed';

export type TrainedRun = Trained & { readonly prepared: Prepared };

/** The result of a run: weights, report, and the model with them. */
export class TrainingResult {
  readonly outcome: TrainingOutcome;
  /** Who stopped the run: the program that started it, or its owner from the dashboard; undefined if nobody did. */
  readonly stoppedBy: 'program' | 'owner' | undefined;
  readonly report: Report;
  /** The kept weights, [parameters] in model order. */
  readonly weights: Float32Array<ArrayBuffer>;
  /** The newest checkpoint on disk, if the run wrote any. */
  readonly checkpoint: WrittenCheckpoint | undefined;
  readonly #prepared: Prepared;
  readonly #platform: TrainingPlatform;
  readonly #backend: HostBackend;
  #model: LoadedModel | undefined;

  /** @param backend not in use by any other thread */
  constructor(
    { ending, prepared, report, weights, checkpoint }: TrainedRun,
    platform: TrainingPlatform,
    backend: HostBackend,
  ) {
    this.outcome = ending?.type ?? 'finished';
    if (ending?.type === 'stopped') this.stoppedBy = ending.code === 'owner' ? 'owner' : 'program';
    this.report = report;
    this.weights = weights;
    this.checkpoint = checkpoint;
    this.#prepared = prepared;
    this.#platform = platform;
    this.#backend = backend;
  }

  /** Allocates memory for the weights on first use, which the caller must free with `dispose`. */
  get model(): LoadedModel {
    const { model, train, reading } = this.#prepared;
    const description = { model, samples: fieldOf(train.samples), targets: train.targets, reading, metadata: {} };
    const { weights, report } = this;
    this.#model ??= new LoadedModel({ ...description, weights, weightsSha256: report.weightsSha256 }, this.#backend);
    return this.#model;
  }

  /** The bytes of a model file, for `loadModel` and other programs; by default safetensors. @throws ConfigurationError */
  modelFile(format: ModelFormat = 'safetensors'): Uint8Array {
    checkKinds({ format }, { format: formatKind });
    const { weightsSha256, kept, steps } = this.report;
    const weights = { weights: this.weights, weightsSha256, steps: kept?.step ?? steps };
    return modelFileOf({ prepared: this.#prepared, ...weights }, format);
  }

  /**
   * Repeats the steps in this process, and compares the weights. If they cannot be compared, says so before it spends the
   * time; `verified` is then null.
   */
  async verify(options: VerifyRequest = {}): Promise<Verification> {
    checkKinds(options, verifyKinds);
    const { signal = new AbortController().signal, log = () => {} } = options;
    const { report, outcome } = this;
    const { weightsSha256: expected } = report;
    const incomparable = outcome === 'finished' ? incomparableReason(report) : 'the run did not reach its last step';
    if (incomparable !== undefined) {
      log(`not verified: ${incomparable}`);
      return { verified: null };
    }
    const steps = report.kept?.step ?? report.steps;
    log(`Verifying: the same ${thousands(steps)} steps in one process`);
    const got = await trainAgain(this.#prepared, this.#platform, signal, steps);
    if (got === undefined) {
      log('not verified: the verifying run was interrupted');
      return { verified: null };
    }
    if (got !== `weights ${expected}`) {
      const failure = `verification failed: this run gave weights ${expected}, one process gave ${got}`;
      return { verified: false, failure };
    }
    log(`verified: training in one process gives the same weights, ${expected}`);
    return { verified: true };
  }
}

/** The error of a run that could not go on. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
  /** The weights and the report up to the failure. */
  readonly result: TrainingResult;
  /** Whether a gradient was not finite. */
  readonly hasDiverged: boolean;

  constructor({ message, hasDiverged }: Extract<RunEnding, { type: 'failed' }>, result: TrainingResult) {
    super(message);
    this.result = result;
    this.hasDiverged = hasDiverged;
  }
}

const formatKind = oneOfKind(modelFormats);

const verifyKinds = {
  signal: joinKinds.signal,
  log: functionKind<VerifyRequest['log']>(),
} as const satisfies KindsOf<VerifyRequest>;

interface VerifyRequest {
  /** Aborted to end the second run early. */
  readonly signal?: AbortSignal | undefined;
  /** Receives one line for people at the beginning, and one at the end. */
  readonly log?: ((line: string) => void) | undefined;
}

/** Whether the same steps in one process give the same weights. */
export interface Verification {
  /** As in the report. */
  readonly verified: boolean | null;
  /** One sentence if the weights differ. */
  readonly failure?: string;
}

/** Why the weights cannot be compared with those of one process; undefined if they can. */
function incomparableReason({ exactness, bitExactAmong }: Report): string | undefined {
  switch (exactness) {
    case 'bit-exact':
      if (bitExactAmong === null) return undefined;
      return `only ${bitExactAmong} workers computed, which round differently from this process`;
    case 'sample-exact':
      return 'workers rounded differently from this process, so equal bits cannot be expected';
    case 'unverified':
      return 'the weights may include wrong results of a quarantined worker, from before the run was resumed';
    case null:
      return 'no step was taken';
    default:
      return exactness satisfies never;
  }
}

/** Describes what a second run gives, such as `weights ab12…`; undefined if it was interrupted. */
async function trainAgain(prepared: Prepared, platform: TrainingPlatform, signal: AbortSignal, steps: number) {
  const { backend } = await openBackend('auto', platform.threads(prepared.threads));
  // A single process cannot cross-check itself.
  const alone = { ...prepared, plan: { ...prepared.plan, steps }, rules: {}, listen: undefined };
  const { run, parameterServer, startInlineWorker } = await createRun({
    prepared: alone,
    platform,
    backend,
    startWorkers: 1,
  });
  const stop = (): void => run.stop('interrupted');
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const worker = await startInlineWorker();
  const outcome = await run.outcome;
  await worker.stop();
  signal.removeEventListener('abort', stop);
  const weights = parameterServer.weights();
  await backend.close?.();
  if (outcome.type === 'finished') return `weights ${platform.sha256(bytesOf(weights))}`;
  return signal.aborted ? undefined : `a failure: ${outcome.message}`;
}
