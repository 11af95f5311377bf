/** Elementwise calls: one kernel, and another if the results are not contiguous in the output. */
import type { MapCall } from '../../../backend.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../../shape.ts';
import { type Placed, reachOf } from '../../operands.ts';
import type { DeviceArray } from '../device.ts';
import type { Runner, Stretch } from '../runner.ts';
import { copyShader, mapShader, usesSpecials } from '../shaders/map.ts';
import { isNested, stridedWriteShader } from '../shaders/strided-write.ts';

export function lowerMap(call: Placed<MapCall, Stretch>, runner: Runner): () => void {
  const { formula, shape, strides } = call;
  const write = writer(runner, call.output, shape, strides.at(-1)!);
  const compute = runner.over(
    call.inputs,
    (sources, inputs) => {
      const views = sources.map((source, index) => ({ ...source, strides: strides[index]! }));
      return mapShader({ formula, shape, views, inputs, specials: inputs - 1 }, runner.device);
    },
    usesSpecials(formula),
  );
  return () => write(compute());
}

type Writer = (values: DeviceArray) => void;

/** Returns a function that writes contiguous results in the given layout. */
function writer(runner: Runner, target: Stretch, shape: Shape, strides: readonly number[]): Writer {
  const contiguous = contiguousStrides(shape);
  if (shape.every((length, axis) => length === 1 || strides[axis] === contiguous[axis])) {
    return (values) => runner.write(target, values);
  }
  if (!isNested(shape, strides)) return rowsWriter(runner, target, shape, strides);
  const kernels = runner.kernels();
  return (values) => {
    const { arrays, sources } = runner.operands([target]);
    const { offset } = sources[0]!;
    const kernel = kernels(String(offset), () =>
      stridedWriteShader({ shape, strides, length: target.length, offset }, runner.device),
    );
    const result = runner.device.run(kernel, [values, arrays[0]!]);
    runner.device.release(values);
    runner.write(target, result);
  };
}

/** Writes one row after another, because elements of different rows interleave. */
function rowsWriter(
  runner: Runner,
  { tensor, offset }: Stretch,
  [rows = 1, ...shape]: Shape,
  [stride = 0, ...strides]: readonly number[],
): Writer {
  const length = sizeOf(shape);
  const writers = Array.from({ length: rows }, (_, row) => {
    const kernel = runner.device.compile(copyShader([length], { offset: row * length, strides: [1] }, runner.device));
    const target = { tensor, offset: offset + row * stride, length: reachOf(shape, strides) };
    const write = writer(runner, target, shape, strides);
    return (values: DeviceArray): void => write(runner.device.run(kernel, [values]));
  });
  return (values) => {
    for (const write of writers) write(values);
    runner.device.release(values);
  };
}
