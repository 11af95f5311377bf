/** The dot product: one number that says by its sign how two vectors point. */
import { cosineSimilarity, dot, fromArray, type HostBackend } from '@lockstep/tensor';
import { defineChapter } from '../chapter.ts';
import { range } from '../controls.ts';
import { decimal } from '../number-text.ts';
import { scalarOf } from '../values.ts';

const fixed = [2, 1];

export const dotProduct = defineChapter({
  id: 'dot-product',
  title: 'The dot product',
  claim: 'The dot product is positive where vectors agree, 0 where they are perpendicular, negative where they oppose.',
  text: [
    'Multiply two vectors number by number and add up: that is the [[dot product]]. It grows with both lengths. Divided by them it is the [[cosine similarity]], from -1 to 1, which knows the angle alone.',
    'A [[neuron]] does just this with its input and its weights: the more the input looks like the weights, the more it says. Turn the second vector and see the sign change at 90°.',
  ],
  controls: {
    angle: range({ label: 'Angle between them, degrees', from: 0, to: 180, fallback: 40, step: 1 }),
    length: range({ label: 'Length of the second', from: 0.1, to: 3, fallback: 1.5, step: 0.1 }),
  },
  *run({ backend }, { angle, length }) {
    yield {
      turned: { angle, ...compare(backend, turnedBy(angle, length)) },
      cases: [0, 90, 180].map((each) => ({ angle: each, ...compare(backend, turnedBy(each, length)) })),
    };
  },
  show: ({ turned, cases }) => [
    {
      kind: 'plane',
      caption: 'The first vector stays, the second turns',
      x: [-3.2, 3.2],
      y: [-3.2, 3.2],
      arrows: [
        { x: fixed[0]!, y: fixed[1]!, label: 'a' },
        { x: turned.other[0]!, y: turned.other[1]!, label: 'b' },
      ],
    },
    {
      kind: 'figures',
      figures: [
        { label: 'dot product', value: decimal(turned.dotProduct) },
        { label: 'cosine', value: decimal(turned.cosine) },
        { label: 'the vectors', value: turned.relation },
      ],
    },
    {
      kind: 'table',
      caption: 'Three directions',
      header: ['angle', 'dot product', 'cosine', 'they'],
      rows: cases.map((row) => [`${row.angle}°`, decimal(row.dotProduct), decimal(row.cosine), row.relation]),
    },
  ],
});

/** `fixed`, turned counterclockwise, with another length. */
function turnedBy(degrees: number, length: number): number[] {
  const direction = Math.atan2(fixed[1]!, fixed[0]!) + (degrees * Math.PI) / 180;
  return [length * Math.cos(direction), length * Math.sin(direction)];
}

function compare(backend: HostBackend, other: readonly number[]) {
  const dotProduct = scalarOf(backend, () => dot(fromArray(backend, fixed), fromArray(backend, other)));
  const cosine = scalarOf(backend, () => cosineSimilarity(fromArray(backend, fixed), fromArray(backend, other)));
  return { other, dotProduct, cosine, relation: relationOf(cosine) };
}

/** A cosine below the rounding of float32 is none. */
function relationOf(cosine: number): 'agree' | 'are perpendicular' | 'oppose' {
  if (Math.abs(cosine) < 1e-6) return 'are perpendicular';
  return cosine > 0 ? 'agree' : 'oppose';
}
