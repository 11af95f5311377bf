/** Attention: queries, keys and values of one sentence, and the scaling of their dot products. */
import { div, fromArray, type HostBackend, matmul, max, mul, normal, permute, softmax, sum } from '@lockstep/tensor';
import { choice, count, defineChapter, seedControl } from '../chapter.ts';
import { decimal, figures, percent, table } from '../exhibit.ts';
import { gradientsOf, meanOf, valuesOf } from '../values.ts';

/** Number of tokens in the random example. */
const tokens = 24;

/** A token's query, key and value, chosen by hand; a Transformer computes them with three weight matrices. */
interface Word {
  readonly word: string;
  readonly query: readonly [number, number];
  readonly key: readonly [number, number];
  readonly value: readonly [number, number];
}

/** The first number of queries and keys stands for "a noun", the second one for "a verb". */
const sentence: readonly Word[] = [
  { word: 'the', query: [2, 0], key: [0, 0], value: [0, 0] },
  { word: 'cat', query: [0, 3], key: [2, 0], value: [1, 0] },
  { word: 'slept', query: [3, 0], key: [0, 2], value: [0, 1] },
  { word: 'it', query: [3, 0], key: [1, 0], value: [0, 0] },
];
const width = 2;

export const attention = defineChapter({
  id: 'attention',
  title: 'Attention, and why it is scaled',
  claim: 'Unless attention scores are divided by √d, they spread until softmax puts nearly all weight on one token.',
  text: [
    '[[Attention]] lets every token take information from the other tokens. Each token has three vectors. Its [[query]] asks a question, its [[key]] offers an answer to the questions of others, and its [[value]] is what it hands over. A [[dot product]] of query and key measures how well the answer matches the question. [[Softmax]] turns these scores into weights, and the result is the weighted mean of the values: softmax(Q Kᵀ / √d) V.',
    'In the small example the query of "it" asks for a noun. The key of "cat" offers a noun, so "it" takes its value mostly from "cat". Choose another token and see where its query looks.',
    'The dot product of two random vectors of d numbers has a standard deviation of √d. With d = 512, scores exceed 60, softmax puts nearly all weight on the largest, and hardly any [[gradient]] comes back through the others. Dividing by √d acts as a [[temperature]] that keeps the standard deviation at 1 for every d.',
  ],
  controls: {
    token: choice('Query token', ['the', 'cat', 'slept', 'it'], 'it'),
    size: count({ label: 'Numbers in a query, d', from: 2, to: 1024, fallback: 512, scale: 'log' }),
    scale: choice('Scores divided by', ['√d', '1'], '√d'),
    seed: seedControl,
  },
  *run({ backend }, { token, size, scale, seed }) {
    const both = [Math.sqrt(size), 1].map((divisor) => attend(backend, size, divisor, seed));
    const asked = ask(backend, token);
    yield { token, asked, size, scaled: both[0]!, plain: both[1]!, shown: scale === '√d' ? both[0]! : both[1]! };
  },
  show: ({ token, asked, size, scaled, plain, shown }) => [
    table(
      `"${token}" asks with the query ${vectorText(asked.query)}`,
      ['token', 'key', 'query · key', 'divided by √2', 'weight', 'value'],
      sentence.map(({ word, key, value }, row) => [
        word,
        vectorText(key),
        asked.products[row]!,
        decimal(asked.scores[row]!, 2),
        percent(asked.weights[row]!),
        vectorText(value),
      ]),
    ),
    figures({
      [`"${token}" looks at`]: asked.looksAt,
      'sum of the weights': percent(asked.weights.reduce((total, weight) => total + weight, 0)),
      'result, weights x values': vectorText(Array.from(asked.result, (value) => value.toFixed(2))),
    }),
    {
      kind: 'grid',
      caption: `Weights of ${tokens} random tokens: each row is a query, each column a key`,
      rows: tokens,
      columns: tokens,
      values: [...shown.weights],
    },
    table(
      `With and without scaling, d = ${size}`,
      ['divided by', 'score deviation', 'largest score', 'mean top weight', 'median gradient'],
      [
        { label: '√d', result: scaled },
        { label: '1', result: plain },
      ].map(({ label, result }) => [
        label,
        decimal(result.spread, 2),
        decimal(result.largestScore, 1),
        decimal(result.largest),
        decimal(result.medianGradient, 4),
      ]),
    ),
  ],
});

function vectorText(vector: readonly (number | string)[]): string {
  return `(${vector.join(', ')})`;
}

/** Computes the attention of one token of the sentence: its scores, its weights, and the mean of the values. */
function ask(backend: HostBackend, token: string) {
  const { query } = sentence.find(({ word }) => word === token)!;
  const rows = (part: 'key' | 'value') =>
    fromArray(
      backend,
      sentence.flatMap((each) => each[part]),
      [sentence.length, width],
    );
  const products = valuesOf(backend, () => matmul(fromArray(backend, query, [1, width]), permute(rows('key'), [1, 0])));
  const scores = valuesOf(backend, () => div(fromArray(backend, products), Math.sqrt(width)));
  const weights = valuesOf(backend, () => softmax(fromArray(backend, scores, [1, sentence.length])));
  const result = valuesOf(backend, () => matmul(fromArray(backend, weights, [1, sentence.length]), rows('value')));
  const looksAt = sentence[weights.indexOf(Math.max(...weights))]!.word;
  return { query, products: [...products], scores, weights, result, looksAt };
}

function attend(backend: HostBackend, size: number, divisor: number, seed: number) {
  const draw = (part: number) => normal(backend, [1, tokens, size], 3 * seed + part);
  const scores = valuesOf(backend, () => div(matmul(draw(0), permute(draw(1), [0, 2, 1])), divisor));
  const shape = [1, tokens, tokens];
  const weights = valuesOf(backend, () => softmax(fromArray(backend, scores, shape)));
  const largest = valuesOf(backend, () => max(fromArray(backend, weights, shape), { axes: [-1] }));
  const { gradients } = gradientsOf(
    backend,
    () => [fromArray(backend, scores, shape)],
    // Values and weights of the loss are random, so that no part of the gradient cancels.
    (x) => sum(mul(matmul(softmax(x), draw(2)), normal(backend, [1, tokens, size], seed))),
  );
  const center = meanOf(scores);
  const rowNorms = Array.from({ length: tokens }, (_, row) =>
    Math.hypot(...gradients[0]!.subarray(row * tokens, (row + 1) * tokens)),
  );
  return {
    weights,
    spread: Math.sqrt(meanOf(scores.map((score) => (score - center) ** 2))),
    largestScore: scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0),
    largest: meanOf(largest),
    medianGradient: rowNorms.toSorted((a, b) => a - b)[tokens / 2]! / Math.sqrt(size),
  };
}
