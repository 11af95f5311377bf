/** The texts of reductions over a middle axis: `[outer, length, inner] -> [outer, inner]`. */
import { cellLength, type Device, type Dialect, type KernelSource } from '../device.ts';
import {
  fits,
  flatThreads,
  isWhole,
  lanes,
  plus,
  quotient,
  remainder,
  type Source,
  type Threads,
  times,
} from './cells.ts';

export interface ReduceKernel {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly source: Source;
}

/** Where a lane's values begin, as `4 * this.thread.x + lane` counts results. */
function start({ length, inner, source }: ReduceKernel, lane: number): string {
  const element = plus('4 * this.thread.x', lane);
  const row = times(length * inner, quotient(element, inner));
  return plus(row, remainder(element, inner), source.offset);
}

function loop(count: number, statements: readonly string[]): string[] {
  return [`for (let i = 0; i < ${count}; i++) {`, ...statements, '}'];
}

const zeros = lanes.map((lane) => `let s${lane} = 0.0;`);
const sumsResult = 'return [s0, s1, s2, s3];';

export function sumKernel(call: ReduceKernel, dialect: Dialect, device: Pick<Device, 'maxThreads'>): KernelSource {
  const { outer, length, inner, source } = call;
  const size = outer * inner;
  const grid: Threads = [inner / cellLength, outer, 1];
  if (isWhole(inner) && isWhole(source.offset) && fits(device, grid)) {
    const cells = inner / cellLength;
    const index = plus(
      times(length * cells, 'this.thread.y'),
      times(cells, 'i'),
      'this.thread.x',
      source.offset / cellLength,
    );
    const add = lanes.map((lane) => `s${lane} += c[${lane}];`);
    const body = [...zeros, ...loop(length, [`const c = ${dialect.cell(source.input, index)};`, ...add]), sumsResult];
    return { inputs: 1, length: size, threads: grid, body: body.join('\n') };
  }
  if (inner === 1 && isWhole(length) && isWhole(source.offset)) {
    const cells = length / cellLength;
    const add = lanes.flatMap((lane) => {
      const index = plus(times(cells, plus('4 * this.thread.x', lane)), 'i', source.offset / cellLength);
      const name = `c${lane}`;
      const total = lanes.map((which) => `${name}[${which}]`).join(' + ');
      return [`const ${name} = ${dialect.cell(source.input, index)};`, `s${lane} += ${total};`];
    });
    const body = [...zeros, ...loop(cells, add), sumsResult];
    return { inputs: 1, length: size, threads: flatThreads(size), body: body.join('\n') };
  }
  const add = lanes.map(
    (lane) => `s${lane} += ${dialect.value(source.input, plus(start(call, lane), times(inner, 'i')))};`,
  );
  const body = [...zeros, ...loop(length, add), sumsResult];
  return { inputs: 1, length: size, threads: flatThreads(size), body: body.join('\n') };
}

/** Sums of `parts` stretches of the axis, each of `step` values but the last: `-> [outer, parts, inner]`. */
export function partialSumKernel(call: ReduceKernel, parts: number, step: number, dialect: Dialect): KernelSource {
  const { outer, length, inner, source } = call;
  const size = outer * parts * inner;
  const add = lanes.map((lane) => {
    const element = plus('4 * this.thread.x', lane);
    const part = remainder(quotient(element, inner), parts);
    const at = plus(times(step, part), 'i');
    const row = times(length * inner, quotient(element, inner * parts));
    const index = plus(row, times(inner, at), remainder(element, inner), source.offset);
    return `if (${at} < ${length}) { s${lane} += ${dialect.value(source.input, index)}; }`;
  });
  const body = [...zeros, ...loop(step, add), sumsResult];
  return { inputs: 1, length: size, threads: flatThreads(size), body: body.join('\n') };
}

/** Index of the first largest value; a NaN, which differs from itself, counts as largest. */
export function argmaxKernel(call: ReduceKernel, dialect: Dialect): KernelSource {
  const { outer, length, inner, source } = call;
  const size = outer * inner;
  const first = lanes.flatMap((lane) => [
    `let m${lane} = ${dialect.value(source.input, start(call, lane))};`,
    `let s${lane} = 0.0;`,
  ]);
  const better = lanes.flatMap((lane) => [
    `const c${lane} = ${dialect.value(source.input, plus(start(call, lane), times(inner, 'i')))};`,
    `if (m${lane} === m${lane} && (c${lane} > m${lane} || c${lane} !== c${lane})) { m${lane} = c${lane}; s${lane} = i; }`,
  ]);
  const body = [...first, ...loop(length, better), sumsResult];
  return { inputs: 1, length: size, threads: flatThreads(size), body: body.join('\n') };
}

/** The largest or smallest value; a NaN fails both comparisons and comes through the sum. */
export function extremeKernel(call: ReduceKernel, reduction: 'max' | 'min', dialect: Dialect): KernelSource {
  const { outer, length, inner, source } = call;
  const size = outer * inner;
  const [better, orEqual] = reduction === 'max' ? ['>', '>='] : ['<', '<='];
  const first = lanes.map((lane) => `let s${lane} = ${dialect.value(source.input, start(call, lane))};`);
  const next = lanes.flatMap((lane) => [
    `const c${lane} = ${dialect.value(source.input, plus(start(call, lane), times(inner, 'i')))};`,
    `s${lane} = (c${lane} ${better} s${lane} ? c${lane} : (s${lane} ${orEqual} c${lane} ? s${lane} : s${lane} + c${lane}));`,
  ]);
  const body = [...first, ...loop(length, next), sumsResult];
  return { inputs: 1, length: size, threads: flatThreads(size), body: body.join('\n') };
}
