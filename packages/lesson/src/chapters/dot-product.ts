/** The dot product: one number whose sign tells how two vectors point. */
import { cosineSimilarity, dot, fromArray, type HostBackend, mul, norm } from '@lockstep/tensor';
import { defineChapter, range } from '../chapter.ts';
import { decimal, figures, table } from '../exhibit.ts';
import { scalarOf, valuesOf } from '../values.ts';

const fixed = [2, 1];
/** Vectors of three numbers, for the arithmetic. */
const [first, second] = [
  [1, 2, 3],
  [4, -5, 6],
];

export const dotProduct = defineChapter({
  id: 'dot-product',
  title: 'The dot product',
  claim:
    'The dot product is positive if the angle between two vectors is less than 90°, 0 at 90°, and negative beyond.',
  text: [
    'The [[dot product]] of two vectors is the sum of the products of their numbers. It equals the product of both lengths and the cosine of the angle between them, so it grows with the lengths. Divided by both lengths, the dot product becomes the [[cosine similarity]], from -1 to 1. It depends on the angle alone: changing a length does not change it.',
    'A [[neuron]] computes a dot product of its input and its weights: the more the input resembles the weights, the larger the result. Turn b and see the sign change at 90°.',
  ],
  controls: {
    angle: range({ label: 'Angle between them, degrees', from: 0, to: 180, fallback: 40, step: 1 }),
    length: range({ label: 'Length of the second', from: 0.1, to: 3, fallback: 1.5, step: 0.1 }),
  },
  *run({ backend }, { angle, length }) {
    yield {
      arithmetic: {
        products: [...valuesOf(backend, () => mul(fromArray(backend, first!), fromArray(backend, second!)))],
        sum: scalarOf(backend, () => dot(fromArray(backend, first!), fromArray(backend, second!))),
      },
      turned: { angle, ...compare(backend, turnedBy(angle, length)) },
      cases: [0, 90, 180].map((each) => ({ angle: each, ...compare(backend, turnedBy(each, length)) })),
    };
  },
  show: ({ arithmetic, turned, cases }) => [
    {
      kind: 'plane',
      caption: 'a is fixed, b turns',
      x: [-3.2, 3.2],
      y: [-3.2, 3.2],
      arrows: [
        { x: fixed[0]!, y: fixed[1]!, label: 'a' },
        { x: turned.other[0]!, y: turned.other[1]!, label: 'b' },
      ],
    },
    figures({
      'dot product': decimal(turned.dotProduct),
      'length of a x length of b x cosine': decimal(turned.byLengths),
      cosine: decimal(turned.cosine),
      'the two vectors': turned.relation,
    }),
    table(
      'The arithmetic: multiply number by number, then add',
      ['number', 'a', 'b', 'a x b'],
      [
        ...arithmetic.products.map((product, row) => [`${row + 1}`, first![row]!, second![row]!, product]),
        ['sum', '', '', arithmetic.sum],
      ],
    ),
    table(
      'Three directions',
      ['angle', 'dot product', 'cosine', 'the vectors'],
      cases.map((row) => [`${row.angle}°`, decimal(row.dotProduct), decimal(row.cosine), row.relation]),
    ),
  ],
});

/** Returns `fixed`, rotated counterclockwise, with another length. */
function turnedBy(degrees: number, length: number): number[] {
  const direction = Math.atan2(fixed[1]!, fixed[0]!) + (degrees * Math.PI) / 180;
  return [length * Math.cos(direction), length * Math.sin(direction)];
}

function compare(backend: HostBackend, other: readonly number[]) {
  const dotProduct = scalarOf(backend, () => dot(fromArray(backend, fixed), fromArray(backend, other)));
  const cosine = scalarOf(backend, () => cosineSimilarity(fromArray(backend, fixed), fromArray(backend, other)));
  const lengths = [fixed, other].map((vector) => scalarOf(backend, () => norm(fromArray(backend, vector))));
  return { other, dotProduct, byLengths: lengths[0]! * lengths[1]! * cosine, cosine, relation: relationOf(cosine) };
}

/** A cosine below the rounding of float32 counts as 0. */
function relationOf(cosine: number): 'form an acute angle' | 'are perpendicular' | 'form an obtuse angle' {
  if (Math.abs(cosine) < 1e-6) return 'are perpendicular';
  return cosine > 0 ? 'form an acute angle' : 'form an obtuse angle';
}
