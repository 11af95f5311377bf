/** The texts of picking along a middle axis by index, and of its adjoint. */
import type { Dialect, KernelSource } from '../device.ts';
import { flatThreads, lanes, plus, quotient, remainder, type Source, times } from './cells.ts';

export interface GatherKernel {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly count: number;
  readonly ownIndices: boolean;
  readonly values: Source;
  readonly indices: Source;
  /** The array that begins with NaN. */
  readonly specials: number;
  readonly inputs: number;
}

/** `[outer, length, inner] -> [outer, count, inner]`. */
export function gatherKernel(call: GatherKernel, dialect: Dialect): KernelSource {
  const { outer, length, inner, count, ownIndices, values, indices, inputs } = call;
  const size = outer * count * inner;
  const lines = lanes.flatMap((lane) => {
    const element = plus('4 * this.thread.x', lane);
    const position = remainder(quotient(element, inner), count);
    const index = dialect.value(indices.input, plus(ownIndices ? element : position, indices.offset));
    const block = times(length * inner, quotient(element, count * inner));
    const value = plus(block, times(inner, `whole(i${lane})`), remainder(element, inner), values.offset);
    return [
      `const i${lane} = ${index};`,
      `let v${lane} = ${dialect.value(call.specials, '0')};`,
      `if (i${lane} >= 0.0 && i${lane} < ${length} && Math.floor(i${lane}) === i${lane}) {`,
      `v${lane} = ${dialect.value(values.input, value)};`,
      '}',
    ];
  });
  const body = [...lines, 'return [v0, v1, v2, v3];'].join('\n');
  return { inputs, length: size, threads: flatThreads(size), body };
}

/** `[outer, count, inner] -> [outer, length, inner]`: every place adds up what is meant for it. */
export function scatterAddKernel(call: GatherKernel, dialect: Dialect): KernelSource {
  const { outer, length, inner, count, ownIndices, values, indices, inputs } = call;
  const size = outer * length * inner;
  const add = lanes.flatMap((lane) => {
    const element = plus('4 * this.thread.x', lane);
    const place = remainder(quotient(element, inner), length);
    const block = times(count * inner, quotient(element, length * inner));
    const picked = plus(block, times(inner, 'i'), remainder(element, inner));
    const index = dialect.value(indices.input, plus(ownIndices ? picked : 'i', indices.offset));
    const value = dialect.value(values.input, plus(picked, values.offset));
    return [
      `const i${lane} = ${index};`,
      `const p${lane} = ${place};`,
      `if (i${lane} === p${lane}) { s${lane} += ${value}; }`,
    ];
  });
  const zeros = lanes.map((lane) => `let s${lane} = 0.0;`);
  const loop = [`for (let i = 0; i < ${count}; i++) {`, ...add, '}'];
  const body = [...zeros, ...loop, 'return [s0, s1, s2, s3];'].join('\n');
  return { inputs, length: size, threads: flatThreads(size), body };
}
