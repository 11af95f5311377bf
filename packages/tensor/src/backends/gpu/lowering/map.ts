/** Elementwise calls: one kernel, and another where the results lie apart in the output. */
import type { Layout, MapCall, Storage } from '../../../backend.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../../shape.ts';
import type { DeviceArray } from '../device.ts';
import type { Stretch } from '../runner.ts';
import { copyShader, mapShader, usesSpecials } from '../shaders/map.ts';
import { isNested, stridedWriteShader } from '../shaders/strided-write.ts';
import type { LoweringContext, Step } from './context.ts';

/** What a strided layout reaches, of a storage: from its offset to its last element. */
function reachOf({ stretchOf }: LoweringContext, storage: Storage, shape: Shape, { offset, strides }: Layout): Stretch {
  const length = strides.reduce((sum, stride, axis) => sum + stride * (shape[axis]! - 1), 1);
  return stretchOf(storage, length, offset);
}

export function lowerMap(call: MapCall, context: LoweringContext): Step {
  const { formula, shape } = call;
  if (sizeOf(shape) === 0) return () => {};
  const stretches = call.inputs.map((view) => reachOf(context, view.storage, shape, view));
  const write = writer(context, call.output, shape, call.outputLayout ?? { strides: contiguousStrides(shape) });
  const compute = context.runner.over(
    stretches,
    (sources, inputs) => {
      const views = sources.map((source, index) => ({ ...source, strides: call.inputs[index]!.strides }));
      return mapShader({ formula, shape, views, inputs, specials: inputs - 1 }, context.device);
    },
    usesSpecials(formula),
  );
  return () => write(compute());
}

type Writer = (values: DeviceArray) => void;

/** Puts contiguous results where a layout says. */
function writer(context: LoweringContext, output: Storage, shape: Shape, layout: Layout): Writer {
  const { runner, device } = context;
  const { strides } = layout;
  const target = reachOf(context, output, shape, layout);
  const contiguous = contiguousStrides(shape);
  if (shape.every((length, axis) => length === 1 || strides[axis] === contiguous[axis])) {
    return (values) => runner.write(target, values);
  }
  if (!isNested(shape, strides)) return rowsWriter(context, output, shape, layout);
  const kernels = runner.kernels();
  return (values) => {
    const { arrays, sources } = runner.operands([target]);
    const { offset } = sources[0]!;
    const kernel = kernels(String(offset), () =>
      stridedWriteShader({ shape, strides, length: target.length, offset }, device),
    );
    const result = device.run(kernel, [values, arrays[0]!]);
    device.release(values);
    runner.write(target, result);
  };
}

/** Elements of different rows lie between each other: one row after another. */
function rowsWriter(
  context: LoweringContext,
  output: Storage,
  [rows = 1, ...shape]: Shape,
  { offset = 0, strides: [stride = 0, ...strides] }: Layout,
): Writer {
  const { device } = context;
  const length = sizeOf(shape);
  const writers = Array.from({ length: rows }, (_, row) => {
    const kernel = device.compile(copyShader([length], { offset: row * length, strides: [1] }, device));
    const write = writer(context, output, shape, { offset: offset + row * stride, strides });
    return (values: DeviceArray): void => write(device.run(kernel, [values]));
  });
  return (values) => {
    for (const write of writers) write(values);
    device.release(values);
  };
}
