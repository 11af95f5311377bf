/** Tensors: any number of axes, and the rule by which different shapes are combined (broadcasting). */
import { add, arange, type HostBackend, mul, reshape, type Shape, ShapeError, sizeOf, tidy } from '@lockstep/tensor';
import { choice, defineChapter } from '../chapter.ts';
import { type Exhibit, figures, shapeText, table, thousands } from '../exhibit.ts';

const shapes = {
  scalar: [],
  '4': [4],
  '3x1': [3, 1],
  '3x4': [3, 4],
  '1x4': [1, 4],
  '2x4': [2, 4],
} as const satisfies Record<string, Shape>;
const names = Object.keys(shapes) as (keyof typeof shapes)[];

const kinds: readonly { readonly name: string; readonly example: string; readonly shape: Shape }[] = [
  { name: 'scalar', example: 'a loss', shape: [] },
  { name: 'vector', example: 'the biases of a layer', shape: [128] },
  { name: 'matrix', example: 'the weights of a layer', shape: [784, 128] },
  { name: 'three axes', example: 'sequences x tokens x embedding', shape: [32, 512, 768] },
  { name: 'four axes', example: 'images x height x width x channels', shape: [64, 28, 28, 1] },
];

export const tensors = defineChapter({
  id: 'tensors',
  title: 'Tensors and broadcasting',
  claim:
    'An axis of size 1 or a missing axis is repeated to fit the other tensor. Any other difference in shape is an error.',
  text: [
    'A [[tensor]] is a grid of numbers with any number of axes. Its [[shape]] lists their sizes, and the product of the sizes is the number of values. A Transformer works on 32 sequences of 512 tokens with 768 numbers each: more than twelve million numbers at once.',
    'Adding a bias to every row of a batch needs no copies of it. [[Broadcasting]] compares shapes from the right and repeats an axis that has size 1 or is missing. Choose two shapes to see their sum, or why they cannot be added.',
  ],
  controls: {
    left: choice('First shape', names, '3x1'),
    right: choice('Second shape', names, '4'),
  },
  *run({ backend }, { left, right }) {
    const [leftShape, rightShape] = [shapes[left], shapes[right]];
    yield {
      left: { shape: leftShape, values: counting(backend, leftShape, 10) },
      right: { shape: rightShape, values: counting(backend, rightShape, 1) },
      ...broadcastSum(backend, leftShape, rightShape),
      kinds: kinds.map((kind) => ({ ...kind, size: sizeOf(kind.shape) })),
    };
  },
  show: ({ left, right, sum, refusal, kinds }) => [
    numbersOf('First', left),
    numbersOf('Second', right),
    ...(sum ? [numbersOf('Their sum', sum)] : []),
    ...(refusal === undefined ? [] : [figures({ refused: refusal })]),
    table(
      'By the number of axes',
      ['tensor', 'such as', 'shape', 'numbers'],
      kinds.map(({ name, example, shape, size }) => [name, example, shapeText(shape), thousands(size)]),
    ),
  ],
});

/** Returns 0, 1, 2, … times `factor`. */
function countingTensor(backend: HostBackend, shape: Shape, factor: number) {
  return reshape(mul(arange(backend, sizeOf(shape)), factor), shape);
}

function counting(backend: HostBackend, shape: Shape, factor: number): number[] {
  return tidy(() => [...backend.view(countingTensor(backend, shape, factor).storage)]);
}

function broadcastSum(backend: HostBackend, left: Shape, right: Shape) {
  try {
    const sum = tidy(() => {
      const tensor = add(countingTensor(backend, left, 10), countingTensor(backend, right, 1));
      return { shape: tensor.shape, values: [...backend.view(tensor.storage)] };
    });
    return { sum, refusal: undefined };
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    return { sum: undefined, refusal: error.message };
  }
}

function numbersOf(name: string, { shape, values }: { shape: Shape; values: readonly number[] }): Exhibit {
  const caption = `${name}, ${shapeText(shape)}`;
  return { kind: 'grid', caption, rows: shape.at(-2) ?? 1, columns: shape.at(-1) ?? 1, values, showsNumbers: true };
}
