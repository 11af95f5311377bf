/** What a run leaves behind: its weights as a model, and its report. */
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { LoadedModel } from './model/load-model.ts';
import { type ModelFormat, modelFileOf, samplesOf } from './model/model-file.ts';
import type { Platform } from './platform.ts';
import type { Prepared } from './prepared.ts';
import type { WrittenCheckpoint } from './record/recorder.ts';
import type { Report } from './record/report.ts';
import type { Trained } from './run/run-training.ts';
import { type Verification, verifyRun } from './run/verify.ts';

/** Every step was taken; the run was stopped before that; it could not go on. */
export type TrainingOutcome = 'finished' | 'stopped' | 'failed';

export interface VerifyRequest {
  /** Aborted when the second run is to end where it is. */
  readonly signal?: AbortSignal | undefined;
  /** Gets one line for people at the beginning, and one at the end. */
  readonly log?: ((line: string) => void) | undefined;
}

/** What a run leaves behind: weights, report, and the model with them. */
export class TrainingResult {
  readonly outcome: TrainingOutcome;
  /** Where it was stopped: by the program that started it, or by its owner from the dashboard. */
  readonly stoppedBy: 'program' | 'owner' | undefined;
  readonly report: Report;
  /** [parameters], in model order. */
  readonly weights: Float32Array<ArrayBuffer>;
  /** The newest one on the disk, where the run wrote some. */
  readonly checkpoint: WrittenCheckpoint | undefined;
  readonly #prepared: Prepared;
  readonly #platform: Platform;
  readonly #backend: HostBackend;
  #model: LoadedModel | undefined;

  constructor(trained: Trained, { prepared, platform, backend }: ResultSources) {
    const { ending } = trained;
    this.outcome = ending?.type ?? 'finished';
    if (ending?.type === 'stopped') this.stoppedBy = ending.code === 'owner' ? 'owner' : 'program';
    this.report = trained.report;
    this.weights = trained.weights;
    this.checkpoint = trained.checkpoint;
    this.#prepared = prepared;
    this.#platform = platform;
    this.#backend = backend;
  }

  /** Takes memory for the weights when it is first asked for, which is the caller's to give back, with `dispose`. */
  get model(): LoadedModel {
    const { model, train, reading } = this.#prepared;
    const { weightsSha256 } = this.report;
    const description = { model, ...samplesOf(train), reading, metadata: {} };
    this.#model ??= new LoadedModel({ ...description, weights: this.weights, weightsSha256 }, this.#backend);
    return this.#model;
  }

  /** The bytes of a model file, which `loadModel` opens and other programs read; by default safetensors. */
  modelFile(format: ModelFormat = 'safetensors'): Uint8Array {
    const { report, weights } = this;
    const { weightsSha256, steps } = report;
    return modelFileOf({ prepared: this.#prepared, weights, weightsSha256, steps }, format);
  }

  /** Takes the steps once more in this process alone, and compares the weights; `verified` is null where they cannot be. */
  verify({ signal = new AbortController().signal, log = () => {} }: VerifyRequest = {}): Promise<Verification> {
    const [prepared, platform, { report }] = [this.#prepared, this.#platform, this];
    return verifyRun({ prepared, platform, report, isFinished: this.outcome === 'finished', signal, log });
  }
}

interface ResultSources {
  readonly prepared: Prepared;
  readonly platform: Platform;
  /** With which no other thread computes. */
  readonly backend: HostBackend;
}

export async function resultOf(trained: Trained, sources: Omit<ResultSources, 'backend'>): Promise<TrainingResult> {
  const { backend } = await openBackend('auto');
  return new TrainingResult(trained, { ...sources, backend });
}

/** A run that could not go on. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
  /** With the weights and the report up to then. */
  readonly result: TrainingResult;

  constructor(message: string, result: TrainingResult) {
    super(message);
    this.result = result;
  }
}
