/** Verdicts on training: every word with which a chapter judges success or failure is decided here. */

export type Verdict =
  | 'diverges'
  | 'is dead'
  | 'learns nothing'
  | 'hardly learns'
  | 'learns'
  | 'underfits'
  | 'overfits'
  | 'generalizes';

/** Losses and accuracies before and after training. */
export interface Evidence {
  /** Losses from before the first step to after the last one. */
  readonly losses: readonly number[];
  /** Accuracies after training and the accuracy of guessing, 0 to 1. Omitted by a network that has only a loss. */
  readonly accuracy?: { readonly chance: number; readonly train?: number; readonly test?: number };
}

/** A loss that ends above this multiple of its start has diverged; less is mini-batch noise. */
const divergedFactor = 1.05;
/** Fraction by which the loss must fall before a network without accuracies counts as learning. */
const learnedShare = 0.5;
/** Fractions of the way from guessing to perfect: below the first nothing was learned, below the second too little. */
const [guessing, fitting] = [0.1, 0.8];
/** Largest difference between training and test accuracy of a network that generalizes. */
const overfittingGap = 0.04;

export function verdictOf({ losses, accuracy }: Evidence): Verdict {
  const [first, last] = [losses[0]!, losses.at(-1)!];
  if (hasDiverged(losses)) return 'diverges';
  if (first > 0 && losses.length > 1 && losses.every((loss) => loss === first)) return 'is dead';
  if (accuracy) return verdictOfClassifier(accuracy);
  if (last <= (1 - learnedShare) * first) return 'learns';
  return last < first ? 'hardly learns' : 'learns nothing';
}

function verdictOfClassifier({ chance, train, test }: NonNullable<Evidence['accuracy']>): Verdict {
  const skill = ((train ?? test ?? chance) - chance) / (1 - chance);
  if (skill < guessing) return 'learns nothing';
  if (skill < fitting) return 'underfits';
  if (test === undefined) return 'learns';
  return (train ?? test) - test > overfittingGap ? 'overfits' : 'generalizes';
}

/** Whether a loss became infinite or NaN, or ends clearly above its start. */
export function hasDiverged(losses: readonly number[]): boolean {
  return !losses.every(Number.isFinite) || losses.at(-1)! > divergedFactor * losses[0]!;
}

export type RateVerdict = 'too large' | 'too small' | 'about right' | 'without effect, since the slope is 0';

/** Fraction of the first slope at which a path counts as arrived. */
const arrivedShare = 0.1;

/** Judges a learning rate by its path. `losses` and `gradients` have one entry for each place of the path. */
export function rateVerdictOf(losses: readonly number[], gradients: readonly (readonly number[])[]): RateVerdict {
  const [first, last] = [losses[0]!, losses.at(-1)!];
  const slopes = gradients.map((gradient) => Math.hypot(...gradient));
  if (slopes[0] === 0) return 'without effect, since the slope is 0';
  if (hasDiverged(losses) || last >= first) return 'too large';
  if (slopes.at(-1)! <= arrivedShare * slopes[0]!) return 'about right';
  const [before, now] = gradients.slice(-2);
  const overshoots = before!.reduce((sum, value, axis) => sum + value * now![axis]!, 0) < 0;
  if (!overshoots) return 'too small';
  const late = losses.slice(Math.floor(losses.length / 2));
  const rises = late.some((loss, place) => place > 0 && loss > late[place - 1]!);
  return rises || last > first / 2 ? 'too large' : 'about right';
}
