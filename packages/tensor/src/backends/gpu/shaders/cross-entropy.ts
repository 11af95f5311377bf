/** Softmax cross-entropy: what a row needs once, then its loss and its gradient from that. */
import type { KernelSource } from '../device.ts';
import {
  elementAt,
  flatKernel,
  lanes,
  plus,
  quotient,
  remainder,
  returnCell,
  type Source,
  type Target,
} from './code.ts';

export interface CrossEntropyShader {
  readonly rows: number;
  readonly classes: number;
  readonly logits: Source;
  readonly labels: Source;
  /** The last array: that of values without a literal for `rowStatisticsShader`, the statistics for the gradient. */
  readonly last: number;
}

/** One cell a row: its largest logit, the sum of exponentials, its loss. A label that is no class makes it NaN. */
export function rowStatisticsShader(
  { rows, classes, logits, labels, last }: CrossEntropyShader,
  { dialect }: Target,
): KernelSource {
  const logit = (position: string): string =>
    dialect.value(logits.input, plus(`${classes} * this.thread.x`, position, logits.offset));
  return flatKernel(last + 1, rows * 4, [
    `let largest = ${logit('0')};
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
if (found === 0.0) { total = ${dialect.value(last, '0')}; atLabel = total; }
return [largest, total, Math.log(total) - atLabel, 0.0];`,
  ]);
}

/** Losses [rows] out of the statistics. */
export function lossesShader(rows: number, { dialect }: Target): KernelSource {
  return flatKernel(1, rows, [returnCell(lanes.map((lane) => dialect.value(0, `4 * (${elementAt(lane)}) + 2`)))]);
}

/** `exp(z) / sum - (class == label)` [rows, classes]. */
export function crossEntropyGradientShader(
  { rows, classes, logits, labels, last }: CrossEntropyShader,
  { dialect }: Target,
): KernelSource {
  const lines = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const row = quotient(element, classes);
    const logit = dialect.value(logits.input, plus(element, logits.offset));
    const label = dialect.value(labels.input, plus(row, labels.offset));
    return [
      `const c${lane} = ${dialect.cell(last, row)};`,
      `const p${lane} = Math.exp(${logit} - c${lane}[0]) / c${lane}[1];`,
      `const g${lane} = (${label} === ${remainder(element, classes)} ? p${lane} - 1.0 : p${lane});`,
    ];
  });
  return flatKernel(last + 1, rows * classes, [...lines, returnCell(['g0', 'g1', 'g2', 'g3'])]);
}
