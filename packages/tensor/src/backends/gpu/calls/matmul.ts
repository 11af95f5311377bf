/** Matrix products: operands turned round, or k cut, where that pays. */
import type { Epilogue, MatmulBatch, MatmulCall } from '../../../backend.ts';
import { contiguousStrides, sizeOf } from '../../../shape.ts';
import type { DeviceArray } from '../device.ts';
import type { Source } from '../kernels/cells.ts';
import { mapKernel } from '../kernels/map.ts';
import { matmulKernel } from '../kernels/matmul.ts';
import { sumKernel } from '../kernels/reduce.ts';
import type { Operands, Runner } from '../runner.ts';
import { filled, firstOf, type Own, type Step } from './step.ts';

/** A product pays for turning an operand round from this many multiplications on. */
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
  readonly epilogue?: Epilogue | undefined;
}

/** The divisor of a length that is nearest above its square root, if it is not much longer. */
function partsOf(length: number): number | undefined {
  const root = Math.ceil(Math.sqrt(length));
  for (let parts = root; parts <= 4 * root; parts++) if (length % parts === 0) return parts;
  return undefined;
}

/** A function from the operands of a product, left, right and the bias if it has one, to its result. */
export function createProduct(runner: Runner, product: Product): (operands: Operands) => DeviceArray {
  const { m, k, n, transposeLeft, transposeRight, batch, epilogue } = product;
  const few = batch === undefined && epilogue === undefined && m * n <= fewResults && k >= longProduct;
  // Stretches of k are matrices of their own where both operands have k outermost.
  const parts = few && transposeLeft && !transposeRight ? partsOf(k) : undefined;
  if (parts !== undefined) return cutProduct(runner, product, parts);
  if (turnsRight(product)) return turnedProduct(runner, product, 'right');
  if (turnsLeft(product)) return turnedProduct(runner, product, 'left');
  const { device } = runner;
  const kernels = runner.kernels();
  return ({ arrays, sources, key }) => {
    const [left, right, bias] = sources as [Source, Source, Source?];
    const kernel = kernels(key, () => {
      const relu = epilogue?.relu ?? false;
      return matmulKernel({ ...product, left, right, bias, relu, inputs: arrays.length }, device.dialect, device);
    });
    return device.run(kernel, arrays);
  };
}

/** Whether there is enough work to pay for turning an operand round. */
function isLarge({ m, k, n, batch }: Product): boolean {
  return sizeOf(batch?.shape ?? []) * m * k * n >= turnedFrom;
}

/** Columns of a left operand lie apart; turned round, four of its values come in one cell. */
function turnsLeft(product: Product): boolean {
  return product.transposeLeft && product.k % 4 === 0 && isLarge(product);
}

/** Whether cells of the right operand would cross the ends of its rows, and those of the turned one not. */
function turnsRight(product: Product): boolean {
  const { k, n, transposeRight } = product;
  const [along, across] = transposeRight ? [k, n] : [n, k];
  return along % 4 !== 0 && across % 4 === 0 && isLarge(product);
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

/** The operands with an array of its own for one of them; what nobody reads any more is left out. */
export function withOperand({ arrays, sources, key }: Operands, which: number, array: DeviceArray): Operands {
  const { input } = sources[which]!;
  const isShared = sources.some((source, index) => index !== which && source.input === input);
  const place = isShared ? arrays.length : input;
  const replaced = isShared ? [...arrays, array] : arrays.with(input, array);
  return { arrays: replaced, sources: sources.with(which, { input: place, offset: 0 }), key };
}

/** Turns one operand round first. */
function turnedProduct(runner: Runner, product: Product, side: 'left' | 'right'): (operands: Operands) => DeviceArray {
  const { device } = runner;
  const { m, k, n, transposeLeft, transposeRight, batch } = product;
  const isLeft = side === 'left';
  const rows = isLeft ? m : transposeRight ? k : n;
  const columns = isLeft ? k : transposeRight ? n : k;
  const shape = [...(batch?.shape ?? []), rows, columns];
  const strides = contiguousStrides(shape).slice(0, -2);
  const straight = createProduct(runner, {
    ...product,
    transposeLeft: isLeft ? false : transposeLeft,
    transposeRight: isLeft ? transposeRight : !transposeRight,
    batch: batch && { ...batch, ...(isLeft ? { leftStrides: strides } : { rightStrides: strides }) },
  });
  const oldStrides = (isLeft ? batch?.leftStrides : batch?.rightStrides) ?? [];
  const which = isLeft ? 0 : 1;
  const kernels = runner.kernels();
  return (operands) => {
    const { arrays, sources, key } = operands;
    const { input, offset } = sources[which]!;
    const turning = kernels(key, () => {
      const views = [{ input: 0, offset, strides: [...oldStrides, 1, rows] }];
      const formula = { kind: 'input', index: 0 } as const;
      return mapKernel({ formula, shape, views, inputs: 1, specials: 0 }, device.dialect, device);
    });
    const turned = device.run(turning, [arrays[input]!]);
    const result = straight(withOperand(operands, which, turned));
    device.release(turned);
    return result;
  };
}

export function prepareMatmul(runner: Runner, call: MatmulCall, own: Own): Step {
  const { m, k, n, batch, epilogue } = call;
  const matrices = sizeOf(batch?.shape ?? []);
  if (matrices * m * n === 0) return () => {};
  if (k === 0 && epilogue === undefined) return filled(runner, firstOf(own(call.output), matrices * m * n), 0);
  const reach = (strides: readonly number[] = []): number =>
    strides.reduce((sum, stride, axis) => sum + stride * (batch!.shape[axis]! - 1), 0);
  const operands = [
    firstOf(own(call.left), reach(batch?.leftStrides) + m * k),
    firstOf(own(call.right), reach(batch?.rightStrides) + k * n),
    ...(epilogue?.bias ? [firstOf(own(epilogue.bias), n)] : []),
  ];
  const output = firstOf(own(call.output), matrices * m * n);
  const product = createProduct(runner, call);
  return () => runner.write(output, product(runner.operands(operands)));
}
