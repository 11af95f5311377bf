/** Chooses the weights that a run keeps, and the epoch it stops after: a function of the evaluations alone. */
import { decimals, percent } from '@lockstep/data/shown';
import { type Evaluation, type Monitor, type MonitorName, monitors } from '@lockstep/nn';

/** How a run uses its validation samples. */
export interface ValidationConfig {
  /** Samples held out from training to choose the epoch. */
  readonly samples: number;
  /** Measure by which epochs are compared. */
  readonly monitor: MonitorName;
  /** The weights that the run ends with: those of its best epoch, or the last ones. */
  readonly keep: 'best' | 'last';
  /** Number of epochs without improvement after which the run stops; omitted if it takes all. */
  readonly patience?: number;
}

/** The epoch whose weights a run keeps. */
export interface KeptEpoch {
  /** Counted from 1. */
  readonly epoch: number;
  /** Steps that its weights have taken. */
  readonly step: number;
  /** Measure by which it was best, and its value on the validation samples. */
  readonly monitor: MonitorName;
  readonly value: number;
  /** Set if the value was measured with a text that the model wrote, on a part of the validation samples. */
  readonly isPart?: true;
}

/** The choice among the epochs so far, for a checkpoint. */
export interface SavedChoice {
  /** Null before the first epoch with a finite value. */
  readonly best: KeptEpoch | null;
  /** The last epoch, once patience has run out. */
  readonly lastEpoch: number | null;
  /** Weights to end with: of the best epoch, or of the last one once patience has run out. */
  readonly weights: Float32Array<ArrayBuffer> | null;
}

interface Candidate {
  /** Counted from 1; the epoch that the step belongs to. */
  readonly epoch: number;
  /** Steps that the weights have taken. */
  readonly step: number;
  /** Whether only the end of the run made this an evaluation: a run that is continued does not stop here. */
  readonly isCutShort: boolean;
  /** On the validation samples, or on a part of them. */
  readonly evaluation: Evaluation;
  readonly isPart?: boolean;
  readonly weights: Float32Array<ArrayBuffer>;
}

export class EpochChoice {
  readonly #config: ValidationConfig;
  #choice: SavedChoice;
  /** The choice without an evaluation that the end of the run cut short. */
  #saved: SavedChoice;

  constructor(config: ValidationConfig, saved: SavedChoice = { best: null, lastEpoch: null, weights: null }) {
    this.#config = config;
    this.#choice = saved;
    this.#saved = saved;
  }

  get saved(): SavedChoice {
    return this.#saved;
  }

  /** Returns to an earlier choice that was `saved`. */
  restore(saved: SavedChoice): void {
    this.#choice = saved;
    this.#saved = saved;
  }

  /** Undefined if the run keeps the last weights, or no epoch had a finite value. */
  get kept(): KeptEpoch | undefined {
    return this.#config.keep === 'best' ? (this.#choice.best ?? undefined) : undefined;
  }

  /** Undefined until patience has run out. */
  get lastEpoch(): number | undefined {
    return this.#choice.lastEpoch ?? undefined;
  }

  /** Weights to end with; undefined if they are the last ones that the run computed. */
  get weights(): Float32Array<ArrayBuffer> | undefined {
    return this.#choice.weights ?? undefined;
  }

  /** Judges the next evaluation. Equal values count as no improvement, so the earlier one stays the best. */
  judge({ epoch, step, isCutShort, evaluation, isPart, weights }: Candidate): void {
    const { monitor, keep } = this.#config;
    const { of, better } = monitors[monitor];
    const value = of(evaluation);
    const before = this.#choice.best;
    const sign = better === 'lower' ? -1 : 1;
    const isBest = value !== null && Number.isFinite(value) && (!before || sign * value > sign * before.value);
    if (!isBest) return;
    const best: KeptEpoch = { epoch, step, monitor, value, ...(isPart && { isPart }) };
    this.#choice = { ...this.#choice, best, weights: keep === 'best' ? weights : this.#choice.weights };
    if (!isCutShort) this.#saved = this.#choice;
  }

  /** Ends a whole epoch, whose evaluations have been judged: the run stops there if patience has run out. */
  endEpoch(epoch: number, weights: Float32Array<ArrayBuffer>): void {
    const { keep, patience = Number.POSITIVE_INFINITY } = this.#config;
    const { best } = this.#choice;
    if (epoch - (best?.epoch ?? 0) < patience) return;
    const keepsThese = keep === 'last' || !best;
    this.#choice = { best, lastEpoch: epoch, weights: keepsThese ? weights : this.#choice.weights };
    this.#saved = this.#choice;
  }
}

/** Such as `Kept epoch 7 of 20 (best validation loss 0.3123)`. @param epochs number of epochs that were trained */
export function keptText({ epoch, step, monitor, value, isPart }: KeptEpoch, epochs: number): string {
  const { label, role } = monitors[monitor] as Monitor;
  const shown = role === 'index' ? percent(value) : decimals(value);
  if (isPart) return `Kept step ${step} (best validation ${label} ${shown}, on a part of the text)`;
  return `Kept epoch ${epoch} of ${epochs} (best validation ${label} ${shown})`;
}

/** Why a run has stopped early, as a sentence. */
export function earlyStopText(epoch: number, { monitor, patience = 0 }: ValidationConfig): string {
  const epochs = patience === 1 ? '1 epoch' : `${patience} epochs`;
  return `Stopped early after epoch ${epoch}: validation ${monitors[monitor].label} has not improved for ${epochs}`;
}
