/** Matrix products: first transposes an operand or splits k, if that pays off. */
import type { Epilogue, MatmulBatch, MatmulCall } from '../../../backend.ts';
import { contiguousStrides, sizeOf } from '../../../shape.ts';
import type { Placed } from '../../operands.ts';
import type { DeviceArray } from '../device.ts';
import type { Operands, Runner, Stretch } from '../runner.ts';
import { copyShader } from '../shaders/map.ts';
import { type MatmulSizes, matmulShader } from '../shaders/matmul.ts';
import { sumShader } from '../shaders/reduce.ts';

/** Fewest multiplications for which transposing an operand pays off. */
const transposedFrom = 2 ** 16;
/** A product with few results and a long k leaves most of a device idle unless k is split. */
const longProduct = 512;
const fewResults = 4096;

export interface Product extends MatmulSizes {
  readonly batch?: MatmulBatch | undefined;
  readonly epilogue?: Epilogue | undefined;
}

/** Computes a product from its operands: left, right, and the bias if it has one. */
type Multiply = (operands: Operands) => DeviceArray;

/** Returns the smallest divisor of a length from its square root on, if it is at most four times the root. */
function partsOf(length: number): number | undefined {
  const root = Math.ceil(Math.sqrt(length));
  for (let parts = root; parts <= 4 * root; parts++) if (length % parts === 0) return parts;
  return undefined;
}

export function createProduct(runner: Runner, product: Product): Multiply {
  const { m, k, n, transposeLeft, transposeRight, batch, epilogue } = product;
  const few = batch === undefined && epilogue === undefined && m * n <= fewResults && k >= longProduct;
  // If k is outermost in both operands, runs of k are separate matrices.
  const parts = few && transposeLeft && !transposeRight ? partsOf(k) : undefined;
  if (parts !== undefined) return cutProduct(runner, product, parts);
  const isLarge = sizeOf(batch?.shape ?? []) * m * k * n >= transposedFrom;
  // Transposing can give a right operand rows of whole cells.
  const [along, across] = transposeRight ? [k, n] : [n, k];
  if (isLarge && along % 4 !== 0 && across % 4 === 0) return transposedProduct(runner, product, 'right');
  if (isLarge && transposeLeft && k % 4 === 0) return transposedProduct(runner, product, 'left');
  const kernels = runner.kernels();
  const relu = epilogue?.relu ?? false;
  return ({ arrays, sources: [left, right, bias], key }) => {
    const kernel = kernels(key, () =>
      matmulShader({ ...product, left: left!, right: right!, bias, relu, inputs: arrays.length }, runner.device),
    );
    return runner.device.run(kernel, arrays);
  };
}

function cutProduct(runner: Runner, { m, k, n }: Product, parts: number): Multiply {
  const length = k / parts;
  const batch = { shape: [parts], leftStrides: [length * m], rightStrides: [length * n] };
  const partial = createProduct(runner, { m, k: length, n, transposeLeft: true, transposeRight: false, batch });
  const start = { input: 0, offset: 0 };
  const sum = runner.device.compile(sumShader({ outer: 1, length: parts, inner: m * n, source: start }, runner.device));
  return (operands) => runner.consume(sum, partial(operands));
}

/** Replaces one operand with `array`, which takes the place of the old array unless another operand reads that. */
export function withOperand({ arrays, sources, key }: Operands, which: number, array: DeviceArray): Operands {
  const { input } = sources[which]!;
  const isShared = sources.some((source, index) => index !== which && source.input === input);
  const place = isShared ? arrays.length : input;
  const replaced = isShared ? [...arrays, array] : arrays.with(input, array);
  return { arrays: replaced, sources: sources.with(which, { input: place, offset: 0 }), key };
}

/** Transposes one operand, then multiplies. */
function transposedProduct(runner: Runner, product: Product, side: 'left' | 'right'): Multiply {
  const { m, k, n, transposeRight, batch } = product;
  const isLeft = side === 'left';
  const rows = isLeft ? m : transposeRight ? k : n;
  const columns = isLeft || !transposeRight ? k : n;
  const shape = [...(batch?.shape ?? []), rows, columns];
  const straight = createProduct(runner, {
    ...product,
    ...(isLeft ? { transposeLeft: false } : { transposeRight: !transposeRight }),
    batch: batch && { ...batch, [`${side}Strides`]: contiguousStrides(shape).slice(0, -2) },
  });
  const strides = [...(batch?.[`${side}Strides`] ?? []), 1, rows];
  const which = isLeft ? 0 : 1;
  const kernels = runner.kernels();
  return (operands) => {
    const { input, offset } = operands.sources[which]!;
    const transpose = kernels(String(offset), () => copyShader(shape, { offset, strides }, runner.device));
    const transposed = runner.device.run(transpose, [operands.arrays[input]!]);
    const result = straight(withOperand(operands, which, transposed));
    runner.device.release(transposed);
    return result;
  };
}

export function lowerMatmul(call: Placed<MatmulCall, Stretch>, runner: Runner): () => void {
  const { k, left, right, bias, output, epilogue } = call;
  if (k === 0 && epilogue === undefined) return runner.fill(output, 0);
  const operands = bias === undefined ? [left, right] : [left, right, bias];
  const product = createProduct(runner, call);
  return () => runner.write(output, product(runner.operands(operands)));
}
