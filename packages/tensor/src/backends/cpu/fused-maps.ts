/** Finds consecutive maps that can run as one pass: each chunk goes through all of them in turn. */
import type { KernelCall } from '../../backend.ts';
import { sizeOf } from '../../shape.ts';
import { joinAxes } from '../axes.ts';
import type { Placed, PlacedMap } from '../operands.ts';

const bytesPerValue = 4;

/** A range of memory that a map reads or writes: a whole vector, or one value for all elements. */
interface Stretch {
  readonly address: number;
  readonly bytes: number;
}

/**
 * Returns the longest run of maps from `calls[from]` on that can be fused. They work on vectors of one length, and any
 * two stretches, at least one of which is written, are identical or disjoint. So element i of each map depends only on
 * element i of earlier maps.
 */
export function fusedMaps(calls: readonly Placed<KernelCall, number>[], from: number): readonly PlacedMap<number>[] {
  const run: PlacedMap<number>[] = [];
  const [read, written]: [Stretch[], Stretch[]] = [[], []];
  for (let at = from; at < calls.length; at++) {
    const call = calls[at]!;
    const stretches = stretchesOf(call);
    if (call.kind !== 'map' || stretches === undefined) break;
    if (run.length > 0 && sizeOf(call.shape) !== sizeOf(run[0]!.shape)) break;
    const output = stretches.pop()!;
    const fits =
      stretches.every((stretch) => written.every((other) => isSameOrApart(stretch, other))) &&
      [...read, ...written, ...stretches].every((other) => isSameOrApart(output, other));
    if (!fits) break;
    const size = sizeOf(call.shape);
    run.push({
      ...call,
      shape: [size],
      strides: [...stretches, output].map(({ bytes }) => [bytes === bytesPerValue ? 0 : 1]),
    });
    read.push(...stretches);
    written.push(output);
  }
  return run;
}

/** Returns the stretches of the inputs, then of the output; undefined if one is not visited in order. */
function stretchesOf(call: Placed<KernelCall, number>): Stretch[] | undefined {
  if (call.kind !== 'map') return undefined;
  const axes = joinAxes(call.shape, call.strides);
  const strides = axes[0]?.strides;
  const isVector = axes.length === 1 && strides!.every((stride) => stride <= 1) && strides!.at(-1) === 1;
  if (!isVector) return undefined;
  const size = sizeOf(call.shape);
  return [...call.inputs, call.output].map((address, which) => ({
    address,
    bytes: bytesPerValue * (strides![which] === 1 ? size : 1),
  }));
}

function isSameOrApart(one: Stretch, other: Stretch): boolean {
  const isSame = one.address === other.address && one.bytes === other.bytes;
  return isSame || one.address + one.bytes <= other.address || other.address + other.bytes <= one.address;
}
