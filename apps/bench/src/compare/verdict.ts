/** The closing sentences: when to distribute these models and when not, from the figures alone. */
import { stepParts } from './figures.ts';
import { ddpRanks } from './peer-names.ts';
import type { OwnRow, TrainingResult } from './results.ts';

/** A gain or a loss smaller than this is neither. */
const worthwhile = 1.05;

/** Our rows with workers, the fastest of them first. */
function crews({ rows }: TrainingResult): OwnRow[] {
  const own = rows.filter((row): row is OwnRow => row.kind === 'lockstep' && row.crew.kind !== 'single');
  return own.sort((a, b) => b.timesSingle.median - a.timesSingle.median);
}

export function verdictOf(results: readonly TrainingResult[]): string[] {
  const judged = results.flatMap((result) => {
    const [best] = crews(result);
    return best === undefined ? [] : [{ name: result.training.name, result, best, gain: best.timesSingle.median }];
  });
  if (judged.length === 0) return [];
  const said = ({ name, best, gain }: (typeof judged)[number]): string => `${name} (${times(gain)} with ${best.name})`;
  const pays = judged.filter(({ gain }) => gain >= worthwhile).sort((a, b) => b.gain - a.gain);
  const loses = judged.filter(({ gain }) => gain < 1 / worthwhile).sort((a, b) => a.gain - b.gain);
  const even = judged.filter(({ gain }) => gain < worthwhile && gain >= 1 / worthwhile);
  const messages: string[] = [];
  if (pays.length > 0) messages.push(`Distribute ${list(pays.map(said))}.`);
  if (even.length > 0) messages.push(`It makes no difference for ${list(even.map(said))}.`);
  if (loses.length > 0) messages.push(`Train in one process: ${list(loses.map(said))}.`);
  const overheads = judged.flatMap(({ best }) => {
    if (best.parts === null) return [];
    const { parts } = best;
    return [stepParts.reduce((sum, part) => sum + (part === 'compute' ? 0 : parts[part]), 0)];
  });
  const singles = judged.map(({ result }) => result.rows[0]).filter((row): row is OwnRow => row?.kind === 'lockstep');
  if (overheads.length > 0) {
    const [least, most] = [Math.min(...overheads), Math.max(...overheads)];
    const [fast, slow] = [
      Math.min(...singles.map(({ msPerStep }) => msPerStep.median)),
      Math.max(...singles.map(({ msPerStep }) => msPerStep.median)),
    ];
    messages.push(
      `The reason: a step with workers spends ${range(least, most)} on everything but arithmetic, and one process needs ` +
        `${range(fast, slow)} for a whole step; only what is long beside the first can be shared with profit, so take ` +
        'larger batches, models with much arithmetic for each byte, or stay in one process.',
    );
  }
  const rivals = results.flatMap(({ training, rows }) =>
    rows.flatMap((row) =>
      row.kind === 'peer' && row.lockstepAgainstIt !== null
        ? [`${times(row.lockstepAgainstIt.median)} at ${training.name}`]
        : [],
    ),
  );
  if (rivals.length > 0) {
    messages.push(`Throughput of ${ddpRanks} workers against PyTorch DDP with ${ddpRanks} processes: ${list(rivals)}.`);
  }
  return messages;
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

function range(from: number, to: number): string {
  const [low, high] = [milliseconds(from), milliseconds(to)];
  return low === high ? `${low} ms` : `${low} to ${high} ms`;
}

export function milliseconds(ms: number): string {
  if (ms >= 100) return ms.toFixed(0);
  return ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

function list(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
