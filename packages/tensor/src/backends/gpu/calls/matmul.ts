/** Matrix products: turned round or cut along k where that pays. */
import type { MatmulBatch, MatmulCall } from '../../../backend.ts';
import { contiguousStrides, sizeOf } from '../../../shape.ts';
import type { DeviceArray } from '../device.ts';
import type { Source } from '../kernels/cells.ts';
import { mapKernel } from '../kernels/map.ts';
import { matmulKernel } from '../kernels/matmul.ts';
import { sumKernel } from '../kernels/reduce.ts';
import type { Operands, Runner } from '../runner.ts';
import { filled, firstOf, type Own, type Step } from './step.ts';

/** A product pays for turning its left operand round from this many multiplications on. */
const turnedFrom = 2 ** 16;
/** A product with few results and a long k leaves most of a device idle, unless k is cut. */
const longProduct = 512;
const fewResults = 4096;

export interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeLeft: boolean;
  readonly transposeRight: boolean;
  readonly batch?: MatmulBatch | undefined;
}

/** The divisor of a length that is nearest above its square root, if it is not much longer. */
function partsOf(length: number): number | undefined {
  const root = Math.ceil(Math.sqrt(length));
  for (let parts = root; parts <= 4 * root; parts++) if (length % parts === 0) return parts;
  return undefined;
}

/** A function from the operands of a product, left and right, to its result. */
export function createProduct(runner: Runner, product: Product): (operands: Operands) => DeviceArray {
  const { m, k, n, transposeLeft, transposeRight, batch } = product;
  const few = batch === undefined && m * n <= fewResults && k >= longProduct;
  // Stretches of k are matrices of their own where both operands have k outermost.
  const parts = few && transposeLeft && !transposeRight ? partsOf(k) : undefined;
  if (parts !== undefined) return cutProduct(runner, product, parts);
  const matrices = sizeOf(batch?.shape ?? []);
  // Columns of a left operand lie apart; turned round, four of its values come in one cell.
  if (transposeLeft && k % 4 === 0 && n % 4 === 0 && matrices * m * k * n >= turnedFrom) {
    return turnedProduct(runner, product);
  }
  const { device } = runner;
  const kernels = runner.kernels();
  return ({ arrays, sources, key }) => {
    const [left, right] = sources as [Source, Source];
    const kernel = kernels(key, () =>
      matmulKernel({ ...product, left, right, inputs: arrays.length }, device.dialect, device),
    );
    return device.run(kernel, arrays);
  };
}

function cutProduct(runner: Runner, { m, k, n }: Product, parts: number): (operands: Operands) => DeviceArray {
  const { device } = runner;
  const length = k / parts;
  const batch = { shape: [parts], leftStrides: [length * m], rightStrides: [length * n] };
  const partial = createProduct(runner, { m, k: length, n, transposeLeft: true, transposeRight: false, batch });
  const sum = { outer: 1, length: parts, inner: m * n, source: { input: 0, offset: 0 } };
  const kernels = runner.kernels();
  return (operands) => {
    const products = partial(operands);
    const result = device.run(
      kernels('sum', () => sumKernel(sum, device.dialect, device)),
      [products],
    );
    device.release(products);
    return result;
  };
}

function turnedProduct(runner: Runner, product: Product): (operands: Operands) => DeviceArray {
  const { device } = runner;
  const { m, k, batch } = product;
  const shape = [...(batch?.shape ?? []), m, k];
  const leftStrides = contiguousStrides(shape).slice(0, -2);
  const straight = createProduct(runner, {
    ...product,
    transposeLeft: false,
    batch: batch && { ...batch, leftStrides },
  });
  const kernels = runner.kernels();
  return ({ arrays, sources, key }) => {
    const [left, right] = sources as [Source, Source];
    const turning = kernels(key, () => {
      const views = [{ input: 0, offset: left.offset, strides: [...(batch?.leftStrides ?? []), 1, m] }];
      const formula = { kind: 'input', index: 0 } as const;
      return mapKernel({ formula, shape, views, inputs: 1, specials: 0 }, device.dialect, device);
    });
    const turned = device.run(turning, [arrays[left.input]!]);
    const result = straight({
      arrays: [turned, arrays[right.input]!],
      sources: [
        { input: 0, offset: 0 },
        { input: 1, offset: right.offset },
      ],
      key,
    });
    device.release(turned);
    return result;
  };
}

export function prepareMatmul(runner: Runner, call: MatmulCall, own: Own): Step {
  const { m, k, n, batch } = call;
  const matrices = sizeOf(batch?.shape ?? []);
  if (matrices * m * n === 0) return () => {};
  if (k === 0) return filled(runner, firstOf(own(call.output), matrices * m * n), 0);
  const reach = (strides: readonly number[] = []): number =>
    strides.reduce((sum, stride, axis) => sum + stride * (batch!.shape[axis]! - 1), 0);
  const operands = [
    firstOf(own(call.left), reach(batch?.leftStrides) + m * k),
    firstOf(own(call.right), reach(batch?.rightStrides) + k * n),
  ];
  const output = firstOf(own(call.output), matrices * m * n);
  const product = createProduct(runner, call);
  return () => runner.write(output, product(runner.operands(operands)));
}
