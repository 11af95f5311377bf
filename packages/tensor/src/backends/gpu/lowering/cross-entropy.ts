/** Softmax cross-entropy: statistics of each row, then losses and gradient from those. */
import type { CrossEntropyCall } from '../../../backend.ts';
import type { Placed } from '../../operands.ts';
import type { KernelSource } from '../device.ts';
import type { Operands, Runner, Stretch } from '../runner.ts';
import { elementAt, flatKernel, lanes, plus, quotient, remainder, returnCell, type Target } from '../shaders/code.ts';

type Call = Placed<CrossEntropyCall, Stretch>;

export function lowerCrossEntropy(call: Call, runner: Runner): () => void {
  const { rows, logits, labels, losses, gradient } = call;
  const kernels = runner.kernels();
  return () => {
    const operands = runner.operands([logits, labels], [runner.specials]);
    const { arrays, key } = operands;
    const statisticsKernel = kernels(`statistics ${key}`, () => rowStatisticsShader(call, operands, runner.device));
    const statistics = runner.device.run(statisticsKernel, arrays);
    const lossesKernel = kernels('losses', () => lossesShader(rows, runner.device));
    const lossValues = runner.device.run(lossesKernel, [statistics]);
    const gradientKernel = gradient && kernels(`gradient ${key}`, () => gradientShader(call, operands, runner.device));
    const gradientValues = gradientKernel && runner.device.run(gradientKernel, arrays.with(-1, statistics));
    runner.device.release(statistics);
    runner.write(losses, lossValues);
    if (gradient && gradientValues) runner.write(gradient, gradientValues);
  };
}

/**
 * One cell per row: its largest logit, the sum of exponentials, its loss. If the label is no class, the last two are
 * NaN, which the last array begins with.
 */
function rowStatisticsShader(
  { rows, classes }: Call,
  { arrays, sources }: Operands,
  { dialect }: Target,
): KernelSource {
  const [logits, labels] = [sources[0]!, sources[1]!];
  const logit = (position: string): string =>
    dialect.value(logits.input, plus(`${classes} * this.thread.x`, position, logits.offset));
  return flatKernel(arrays.length, rows * 4, [
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
if (found === 0.0) { total = ${dialect.value(arrays.length - 1, '0')}; atLabel = total; }
return [largest, total, Math.log(total) - atLabel, 0.0];`,
  ]);
}

/** Losses [rows], from the statistics. */
function lossesShader(rows: number, { dialect }: Target): KernelSource {
  return flatKernel(1, rows, [returnCell(lanes.map((lane) => dialect.value(0, `4 * (${elementAt(lane)}) + 2`)))]);
}

/** `exp(z) / sum - (class == label)` [rows, classes]; the last array holds the statistics. */
function gradientShader({ rows, classes }: Call, { arrays, sources }: Operands, { dialect }: Target): KernelSource {
  const [logits, labels] = [sources[0]!, sources[1]!];
  const lines = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const row = quotient(element, classes);
    const logit = dialect.value(logits.input, plus(element, logits.offset));
    const label = dialect.value(labels.input, plus(row, labels.offset));
    return [
      `const c${lane} = ${dialect.cell(arrays.length - 1, row)};`,
      `const p${lane} = Math.exp(${logit} - c${lane}[0]) / c${lane}[1];`,
      `const g${lane} = (${label} === ${remainder(element, classes)} ? p${lane} - 1.0 : p${lane});`,
    ];
  });
  return flatKernel(arrays.length, rows * classes, [...lines, returnCell(['g0', 'g1', 'g2', 'g3'])]);
}
