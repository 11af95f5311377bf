/** Elementwise calls: one kernel, and another where the results lie apart in the output. */
import type { Layout, MapCall } from '../../../backend.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../../shape.ts';
import type { DeviceArray } from '../device.ts';
import { mapKernel, usesSpecials } from '../kernels/map.ts';
import { isNested, scatterKernel } from '../kernels/scatter.ts';
import type { Runner, Stretch } from '../runner.ts';
import type { Own, Step } from './step.ts';

/** What a strided layout reaches, of a storage: from its offset to its last element. */
function reachOf(stretch: Stretch, shape: Shape, { offset = 0, strides }: Layout): Stretch {
  const last = strides.reduce((sum, stride, axis) => sum + stride * (shape[axis]! - 1), 0);
  return { pieces: stretch.pieces, offset: stretch.offset + offset, length: last + 1 };
}

export function prepareMap(runner: Runner, call: MapCall, own: Own): Step {
  const { formula, shape, outputLayout } = call;
  const size = sizeOf(shape);
  if (size === 0) return () => {};
  const { device } = runner;
  const inputs = call.inputs.map((view) => reachOf(own(view.storage), shape, view));
  const write = writer(runner, own(call.output), shape, outputLayout ?? { strides: contiguousStrides(shape) });
  const special = usesSpecials(formula);
  const kernels = runner.kernels();
  return () => {
    const { arrays, sources, key } = runner.operands(inputs, special ? [runner.specials] : []);
    const kernel = kernels(key, () => {
      const views = sources.map((source, index) => ({ ...source, strides: call.inputs[index]!.strides }));
      const specials = arrays.length - 1;
      return mapKernel({ formula, shape, views, inputs: arrays.length, specials }, device.dialect, device);
    });
    write(device.run(kernel, arrays));
  };
}

/** Puts contiguous results where a layout says. */
function writer(runner: Runner, output: Stretch, shape: Shape, layout: Layout): (values: DeviceArray) => void {
  const { device } = runner;
  const { strides } = layout;
  const target = reachOf(output, shape, layout);
  const contiguous = contiguousStrides(shape);
  if (shape.every((length, axis) => length === 1 || strides[axis] === contiguous[axis])) {
    return (values) => runner.write(target, values);
  }
  if (!isNested(shape, strides)) return partwiseWriter(runner, output, shape, layout);
  const kernels = runner.kernels();
  return (values) => {
    const { arrays, sources } = runner.operands([target]);
    const { offset } = sources[0]!;
    const kernel = kernels(String(offset), () =>
      scatterKernel({ shape, strides, length: target.length, offset }, device.dialect),
    );
    const result = device.run(kernel, [values, arrays[0]!]);
    device.release(values);
    runner.write(target, result);
  };
}

/** Elements of different rows lie between each other: one row after another. */
function partwiseWriter(
  runner: Runner,
  output: Stretch,
  [rows = 1, ...shape]: Shape,
  { offset = 0, strides: [stride = 0, ...strides] }: Layout,
): (values: DeviceArray) => void {
  const { device } = runner;
  const length = sizeOf(shape);
  const formula = { kind: 'input', index: 0 } as const;
  const parts = Array.from({ length: rows }, (_, row) => {
    const view = { input: 0, offset: row * length, strides: [1] };
    const kernel = mapKernel(
      { formula, shape: [length], views: [view], inputs: 1, specials: 0 },
      device.dialect,
      device,
    );
    return { kernel, write: writer(runner, output, shape, { offset: offset + row * stride, strides }) };
  });
  return (values) => {
    for (const { kernel, write } of parts) write(device.run(device.compile(kernel), [values]));
    device.release(values);
  };
}
