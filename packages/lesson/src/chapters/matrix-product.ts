/** The matrix product: many dot products at once, the rule of its sizes, and batches. */
import { fromArray, type HostBackend, matmul, normal, ShapeError } from '@lockstep/tensor';
import { count, defineChapter } from '../chapter.ts';
import { figures, shapeText, thousands } from '../exhibit.ts';
import { valuesOf } from '../values.ts';

const left = { rows: 2, columns: 3, values: [1, 2, 0, -1, 0, 3] };
const right = { rows: 3, columns: 2, values: [2, 1, 0, 1, 1, -1] };
const [inputs, outputs] = [784, 128];

export const matrixProduct = defineChapter({
  id: 'matrix-product',
  title: 'The matrix product',
  claim: 'A batch of images passes through a whole layer in one product, with the same results as one image at a time.',
  text: [
    'Each number of a [[matrix product]] is the [[dot product]] of a row of the first matrix and a column of the second. Rows and columns must have the same length, so the inner sizes must be equal. The outer sizes remain: [m, k] times [k, n] gives [m, n].',
    'A layer of 128 neurons with 784 inputs is a matrix of shape [784, 128]. One image is one row, and a [[batch]] of 64 images is 64 rows: one product computes 64 x 128 dot products.',
  ],
  controls: {
    batch: count({ label: 'Images in the batch', from: 1, to: 512, fallback: 64, scale: 'log' }),
    inner: count({ label: 'Values in an image', from: 780, to: 790, fallback: inputs }),
  },
  *run({ backend }, { batch, inner }) {
    const product = valuesOf(backend, () => matmul(matrix(backend, left), matrix(backend, right)));
    yield { product: [...product], batch, inner, ...layerProduct(backend, batch, inner) };
  },
  show: ({ product, batch, inner, shape, refusal, differing }) => [
    { kind: 'grid', caption: 'A, [2, 3]', ...left, showsNumbers: true },
    { kind: 'grid', caption: 'B, [3, 2]', ...right, showsNumbers: true },
    { kind: 'grid', caption: 'A B, [2, 2]', rows: 2, columns: 2, values: product, showsNumbers: true },
    figures({
      images: shapeText([batch, inner]),
      layer: shapeText([inputs, outputs]),
      product: shape ? shapeText(shape) : 'refused',
      multiplications: shape ? thousands(batch * inputs * outputs) : '–',
      why: refusal ?? `the inner sizes are both ${inputs}`,
      'numbers that differ from one image at a time':
        differing === undefined ? '–' : `${differing} of ${thousands(batch * outputs)}`,
    }),
  ],
});

function matrix(backend: HostBackend, { rows, columns, values }: typeof left) {
  return fromArray(backend, values, [rows, columns]);
}

/** Computes a layer for a batch, at once and one image at a time; or returns why the sizes do not fit. */
function layerProduct(backend: HostBackend, batch: number, inner: number) {
  const images = valuesOf(backend, () => normal(backend, [batch, inner], 1));
  const layer = valuesOf(backend, () => normal(backend, [inputs, outputs], 2));
  const through = (values: Float32Array, rows: number): Float32Array =>
    valuesOf(backend, () =>
      matmul(fromArray(backend, values, [rows, inner]), fromArray(backend, layer, [inputs, outputs])),
    );
  try {
    const atOnce = through(images, batch);
    const oneByOne = Array.from({ length: batch }, (_, row) => [
      ...through(images.subarray(row * inner, (row + 1) * inner), 1),
    ]).flat();
    return {
      shape: [batch, outputs],
      refusal: undefined,
      differing: oneByOne.filter((value, index) => value !== atOnce[index]).length,
    };
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    return { shape: undefined, refusal: error.message, differing: undefined };
  }
}
