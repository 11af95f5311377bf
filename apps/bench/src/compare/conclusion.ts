/** The closing sentences: which models to distribute and which not, from the figures alone. */
import { milliseconds, times } from '../figure-text.ts';
import { stepParts } from './figures.ts';
import { ddpRanks, isLockstep, type LockstepRow, type TrainingResult } from './results.ts';

/** A gain or a loss smaller than this is neither. */
const worthwhile = 1.05;

/** A training with its fastest row that has workers. */
interface Gain {
  readonly name: string;
  readonly best: LockstepRow;
  readonly ratio: number;
}

export function conclusionOf(results: readonly TrainingResult[]): string[] {
  const gains = results.flatMap(({ training: { name }, rows }): Gain[] => {
    const distributed = rows.filter(isLockstep).filter(({ workers }) => workers.kind !== 'single');
    const [best] = distributed.sort((a, b) => b.timesSingle.median - a.timesSingle.median);
    return best ? [{ name, best, ratio: best.timesSingle.median }] : [];
  });
  if (gains.length === 0) return [];
  const sorted = [...gains].sort((a, b) => b.ratio - a.ratio);
  const named = (some: readonly Gain[]): string =>
    list(some.map(({ name, best, ratio }) => `${name} (${times(ratio)} with ${best.name})`));
  const pays = sorted.filter(({ ratio }) => ratio >= worthwhile);
  const loses = sorted.filter(({ ratio }) => ratio < 1 / worthwhile).reverse();
  const even = gains.filter(({ ratio }) => ratio < worthwhile && ratio >= 1 / worthwhile);
  return [
    ...(pays.length > 0 ? [`Distribute ${named(pays)}.`] : []),
    ...(even.length > 0 ? [`It makes no difference for ${named(even)}.`] : []),
    ...(loses.length > 0 ? [`Train in one process: ${named(loses)}.`] : []),
    ...reasonOf(gains, results),
    ...ddpComparison(results),
  ];
}

function reasonOf(gains: readonly Gain[], results: readonly TrainingResult[]): string[] {
  const overheads = gains.flatMap(({ best: { parts } }) =>
    parts === null ? [] : [stepParts.reduce((sum, part) => sum + (part === 'compute' ? 0 : parts[part]), 0)],
  );
  if (overheads.length === 0) return [];
  const singles = results.flatMap(({ rows: [single] }) =>
    single && isLockstep(single) ? [single.msPerStep.median] : [],
  );
  return [
    `The reason: a step with workers spends ${range(overheads)} on everything but arithmetic, and one process needs ` +
      `${range(singles)} for a whole step; distributing pays only where the second is long beside the first, so take ` +
      'larger batches, models with much arithmetic for each byte, or stay in one process.',
  ];
}

function ddpComparison(results: readonly TrainingResult[]): string[] {
  const ratios = results.flatMap(({ training, rows }) =>
    rows.flatMap((row) => {
      const ratio = row.kind === 'peer' ? row.lockstepAgainstIt : null;
      return ratio === null ? [] : [`${times(ratio.median)} at ${training.name}`];
    }),
  );
  if (ratios.length === 0) return [];
  return [`Throughput of ${ddpRanks} workers against PyTorch DDP with ${ddpRanks} processes: ${list(ratios)}.`];
}

/** "0.40 to 2.1 ms" */
function range(values: readonly number[]): string {
  const [low, high] = [milliseconds(Math.min(...values)), milliseconds(Math.max(...values))];
  return low === high ? `${low} ms` : `${low} to ${high} ms`;
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
