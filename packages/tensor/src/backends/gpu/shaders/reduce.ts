/** Reductions over a middle axis: `[outer, length, inner] -> [outer, inner]`. */
import { cellLength, type KernelSource } from '../device.ts';
import {
  elementAt,
  fits,
  flatKernel,
  isWhole,
  lanes,
  loop,
  plus,
  quotient,
  remainder,
  returnSums,
  type Source,
  sumLoop,
  type Target,
  type Threads,
  times,
  zeroSums,
} from './code.ts';

export interface ReduceShader {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly source: Source;
}

export function sumShader(call: ReduceShader, target: Target): KernelSource {
  const { outer, length, inner, source } = call;
  const { dialect } = target;
  const threads: Threads = [inner / cellLength, outer, 1];
  if (!isWhole(inner) || !isWhole(source.offset) || !fits(target, threads)) {
    return partialSumShader(call, 1, length, target);
  }
  const cells = inner / cellLength;
  const row = times(length * cells, 'this.thread.y');
  const index = plus(row, times(cells, 'i'), 'this.thread.x', source.offset / cellLength);
  const add = lanes.map((lane) => `s${lane} += c[${lane}];`);
  const lines = sumLoop(length, [`const c = ${dialect.cell(source.input, index)};`, ...add]);
  return { ...flatKernel(1, outer * inner, lines), threads };
}

/** Value `index` along the axis, for the lane's result. */
function valueAt({ length, inner, source }: ReduceShader, lane: number, index: string, { dialect }: Target): string {
  const element = elementAt(lane);
  const row = times(length * inner, quotient(element, inner));
  const start = plus(row, remainder(element, inner), source.offset);
  return dialect.value(source.input, plus(start, times(inner, index)));
}

/** Sums of `parts` runs of the axis, each of `step` values except the last: `-> [outer, parts, inner]`. */
export function partialSumShader(call: ReduceShader, parts: number, step: number, { dialect }: Target): KernelSource {
  const { outer, length, inner, source } = call;
  const add = lanes.map((lane) => {
    const element = elementAt(lane);
    const at = parts === 1 ? 'i' : plus(times(step, remainder(quotient(element, inner), parts)), 'i');
    const row = times(length * inner, quotient(element, inner * parts));
    const index = plus(row, times(inner, at), remainder(element, inner), source.offset);
    const addValue = `s${lane} += ${dialect.value(source.input, index)};`;
    return parts * step === length ? addValue : `if (${at} < ${length}) { ${addValue} }`;
  });
  return flatKernel(1, outer * parts * inner, sumLoop(step, add));
}

/** The largest or smallest value, or the index of the first largest. A NaN, which differs from itself, propagates. */
export function selectShader(call: ReduceShader, reduction: 'argmax' | 'max' | 'min', target: Target): KernelSource {
  const { outer, length, inner } = call;
  const [better, orEqual] = reduction === 'min' ? ['<', '<='] : ['>', '>='];
  const best = reduction === 'argmax' ? 'm' : 's';
  const first = lanes.map((lane) => `let ${best}${lane} = ${valueAt(call, lane, '0', target)};`);
  const indices = reduction === 'argmax' ? zeroSums : [];
  const next = lanes.flatMap((lane) => {
    const [c, m, s] = [`c${lane}`, `m${lane}`, `s${lane}`];
    return [
      `const ${c} = ${valueAt(call, lane, 'i', target)};`,
      reduction === 'argmax'
        ? `if (${m} === ${m} && (${c} > ${m} || ${c} !== ${c})) { ${m} = ${c}; ${s} = i; }`
        : `${s} = (${c} ${better} ${s} ? ${c} : (${s} ${orEqual} ${c} ? ${s} : ${s} + ${c}));`,
    ];
  });
  return flatKernel(1, outer * inner, [...first, ...indices, ...loop(length, next), returnSums]);
}
