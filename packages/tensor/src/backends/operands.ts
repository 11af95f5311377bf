/** The operands of a call: what it reads and writes, as the backends see it. */

import type { KernelCall, MapCall, MatmulBatch, MatmulCall, Storage, StridedView } from '../backend.ts';
import { contiguousStrides, type Shape, sizeOf } from '../shape.ts';
import { imageSize, windowCount } from '../windows.ts';

/** A loop, with each view's stride along it. */
export interface Axis {
  length: number;
  strides: readonly number[];
}

/** Returns the axes, outermost first, without those of size 1; merges neighbors that are contiguous in every view. */
export function joinAxes(shape: Shape, views: readonly (readonly number[])[]): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((length, position) => {
    if (length === 1) return;
    const strides = views.map((view) => view[position]!);
    const previous = axes.at(-1);
    if (previous?.strides.every((stride, which) => stride === strides[which]! * length)) {
      previous.length *= length;
      previous.strides = strides;
    } else {
      axes.push({ length, strides });
    }
  });
  return axes;
}

/**
 * Returns the offset of each matrix in elements, one entry per matrix of the output; a call without a batch has one
 * entry.
 */
export function batchOffsets({ m, n, batch }: Pick<MatmulCall, 'm' | 'n' | 'batch'>) {
  const { shape, leftStrides, rightStrides } = batch ?? { shape: [], leftStrides: [], rightStrides: [] };
  return Array.from({ length: sizeOf(shape) }, (_, matrix) => {
    let [left, right, rest] = [0, 0, matrix];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const index = rest % shape[axis]!;
      rest = (rest - index) / shape[axis]!;
      left += index * leftStrides[axis]!;
      right += index * rightStrides[axis]!;
    }
    return { left, right, output: matrix * m * n };
  });
}

/** Role of a storage in its call: the property that holds it, or the bias of its epilogue. */
export type Role = TensorRole | 'logits' | 'labels' | 'losses' | 'gradient' | 'key' | 'samples';
type TensorRole = 'input' | 'output' | 'left' | 'right' | 'bias' | 'indices' | 'argmaxIndices';

/** A call with a place, such as an address, instead of each storage. */
export type Placed<Call extends KernelCall, Place> = Call extends MapCall
  ? PlacedMap<Place>
  : { readonly [Key in keyof Call]: Key extends Role ? Place : Call[Key] } & Bias<Call, Place>;

/** Only products have a bias. */
type Bias<Call, Place> = 'epilogue' extends keyof Call ? { readonly bias?: Place } : unknown;

/** The places include the offsets of the layouts. */
export interface PlacedMap<Place> extends Pick<MapCall, 'kind' | 'formula' | 'shape'> {
  readonly inputs: readonly Place[];
  readonly output: Place;
  /** Strides of each input, then of the output. */
  readonly strides: readonly (readonly number[])[];
}

/** A table with one function for each kind of call; a missing kind does not compile. */
export type ByKind<Place, Rest extends readonly unknown[], Result> = {
  readonly [Kind in KernelCall['kind']]: (
    call: Placed<Extract<KernelCall, { kind: Kind }>, Place>,
    ...rest: Rest
  ) => Result;
};

/** Applies the table's function for the call. */
export function dispatch<Place, Rest extends readonly unknown[], Result>(
  table: ByKind<Place, Rest, Result>,
  call: Placed<KernelCall, Place>,
  ...rest: Rest
): Result {
  return (table[call.kind] as (call: Placed<KernelCall, Place>, ...rest: Rest) => Result)(call, ...rest);
}

/** Returns the inputs of a map, then its output. */
export function viewsOf({ inputs, output, shape, outputLayout }: MapCall): StridedView[] {
  return [...inputs, { storage: output, ...(outputLayout ?? { strides: contiguousStrides(shape) }) }];
}

/** Number of values from the first element of a strided layout to its last. */
export function reachOf(shape: Shape, strides: readonly number[]): number {
  return sizeOf(shape) === 0 ? 0 : strides.reduce((sum, stride, axis) => sum + stride * (shape[axis]! - 1), 1);
}

/** Number of values that a call reads or writes from the start of each storage. */
export function lengthsOf(call: Exclude<KernelCall, MapCall>): { readonly [Key in Role]?: number } {
  switch (call.kind) {
    case 'reduce': {
      const size = call.outer * call.inner;
      return { input: size * call.length, output: size };
    }
    case 'matmul': {
      const { m, k, n, batch } = call;
      const output = sizeOf(batch?.shape ?? []) * m * n;
      const [left, right] = [operandLength(batch, 'left', m * k), operandLength(batch, 'right', k * n)];
      return { left, right, bias: n, output };
    }
    case 'crossEntropy': {
      const [rows, size] = [call.rows, call.rows * call.classes];
      return { logits: size, labels: rows, losses: rows, gradient: size };
    }
    case 'gather':
    case 'scatterAdd': {
      const { kind, outer, length, inner, count } = call;
      const [long, picked] = [outer * length * inner, outer * count * inner];
      const [input, output] = kind === 'gather' ? [long, picked] : [picked, long];
      return { input, indices: call.ownIndices ? picked : count, output };
    }
    case 'random':
      return { key: 4, samples: call.rows, output: call.rows * call.columns };
    case 'convolution': {
      const { result, windows, filters } = call;
      const images = imageSize(windows);
      const kernel = windows.windowHeight * windows.windowWidth * windows.channels * filters;
      const outputs = windowCount(windows) * filters;
      return {
        output: { left: images, right: kernel, bias: filters, output: outputs },
        inputGradient: { left: outputs, right: kernel, output: images },
        kernelGradient: { left: images, right: outputs, output: kernel },
      }[result];
    }
    case 'pool':
    case 'unpool': {
      const images = imageSize(call.windows);
      const outputs = windowCount(call.windows) * call.windows.channels;
      const [input, output] = call.kind === 'pool' ? [images, outputs] : [outputs, images];
      return { input, argmaxIndices: outputs, output };
    }
    default:
      return call satisfies never;
  }
}

/** Number of values up to the end of the last matrix of an operand; a matrix has `size` values. */
function operandLength(batch: MatmulBatch | undefined, side: 'left' | 'right', size: number): number {
  if (batch === undefined) return size;
  return sizeOf(batch.shape) === 0 ? 0 : reachOf(batch.shape, batch[`${side}Strides`]) - 1 + size;
}

/** Whether a call writes nothing. */
export function isEmpty(call: KernelCall): boolean {
  if (call.kind === 'map') return sizeOf(call.shape) === 0;
  const { output, losses } = lengthsOf(call);
  return (output ?? losses) === 0;
}

/** Visits each storage of a call, with the number of values that the call reads or writes there. */
export function forEachStorage(
  call: Exclude<KernelCall, MapCall>,
  visit: (role: Role, storage: Storage, length: number) => void,
): void {
  const bias = 'epilogue' in call ? call.epilogue?.bias : undefined;
  const storages = { ...call, bias } as { readonly [Key in Role]?: Storage | undefined };
  for (const [role, length] of Object.entries(lengthsOf(call)) as [Role, number][]) {
    const storage = storages[role];
    if (storage !== undefined) visit(role, storage, length);
  }
}

/** Replaces each storage of a call with the place of its values: `length` of them from `offset` on. */
export function placed<Place>(
  call: KernelCall,
  placeOf: (storage: Storage, length: number, offset: number, role: Role) => Place,
): Placed<KernelCall, Place> {
  if (call.kind === 'map') {
    const { kind, formula, shape } = call;
    const views = viewsOf(call);
    const places = views.map(({ storage, offset = 0, strides }, index) =>
      placeOf(storage, reachOf(shape, strides), offset, index < call.inputs.length ? 'input' : 'output'),
    );
    const output = places.pop()!;
    return { kind, formula, shape, inputs: places, output, strides: views.map(({ strides }) => strides) };
  }
  const places: { [Key in Role]?: Place } = {};
  forEachStorage(call, (role, storage, length) => {
    places[role] = placeOf(storage, length, 0, role);
  });
  return { ...call, ...places } as Placed<Exclude<KernelCall, MapCall>, Place>;
}
