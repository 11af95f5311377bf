/** The texts of softmax cross-entropy: what a row needs once, then its loss and its gradient from that. */
import type { Dialect, KernelSource } from '../device.ts';
import { flatThreads, lanes, plus, quotient, remainder, type Source } from './cells.ts';

export interface CrossEntropyKernel {
  readonly rows: number;
  readonly classes: number;
  readonly logits: Source;
  readonly labels: Source;
  /** The array that begins with NaN. */
  readonly specials: number;
  readonly inputs: number;
}

/** One cell a row: its largest logit, the sum of exponentials, its loss. A label that is no class makes it NaN. */
export function rowStatisticsKernel(call: CrossEntropyKernel, dialect: Dialect): KernelSource {
  const { rows, classes, logits, labels, specials, inputs } = call;
  const logit = (position: string): string =>
    dialect.value(logits.input, plus(`${classes} * this.thread.x`, position, logits.offset));
  const body = `
let largest = ${logit('0')};
for (let i = 0; i < ${classes}; i++) {
  const z = ${logit('i')};
  largest = (z > largest ? z : (largest >= z ? largest : z + largest));
}
const label = ${dialect.value(labels.input, plus('this.thread.x', labels.offset))};
let total = 0.0;
let atLabel = 0.0;
let found = 0.0;
for (let i = 0; i < ${classes}; i++) {
  const shifted = ${logit('i')} - largest;
  total += Math.exp(shifted);
  if (label === i) { atLabel = shifted; found = 1.0; }
}
if (found === 0.0) { total = ${dialect.value(specials, '0')}; atLabel = total; }
return [largest, total, Math.log(total) - atLabel, 0.0];`;
  return { inputs, length: rows * 4, threads: [rows, 1, 1], body };
}

/** Losses [rows] out of the rows' cells. */
export function lossesKernel(rows: number, dialect: Dialect): KernelSource {
  const loss = lanes.map((lane) => dialect.value(0, `4 * (${plus('4 * this.thread.x', lane)}) + 2`));
  return { inputs: 1, length: rows, threads: flatThreads(rows), body: `return [${loss.join(', ')}];` };
}

/** `exp(z) / sum - (class == label)` [rows, classes]; the rows' cells are array `statistics`. */
export function crossEntropyGradientKernel(
  call: CrossEntropyKernel,
  statistics: number,
  dialect: Dialect,
): KernelSource {
  const { rows, classes, logits, labels, inputs } = call;
  const lines = lanes.flatMap((lane) => {
    const element = plus('4 * this.thread.x', lane);
    const row = quotient(element, classes);
    const logit = dialect.value(logits.input, plus(element, logits.offset));
    const label = dialect.value(labels.input, plus(row, labels.offset));
    return [
      `const c${lane} = ${dialect.cell(statistics, row)};`,
      `const p${lane} = Math.exp(${logit} - c${lane}[0]) / c${lane}[1];`,
      `const g${lane} = (${label} === ${remainder(element, classes)} ? p${lane} - 1.0 : p${lane});`,
    ];
  });
  const body = [...lines, 'return [g0, g1, g2, g3];'].join('\n');
  return { inputs, length: rows * classes, threads: flatThreads(rows * classes), body };
}
