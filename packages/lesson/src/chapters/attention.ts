/** Attention: queries, keys and values of one sentence, and the scaling of their dot products. */
import {
  arange,
  div,
  fromArray,
  type HostBackend,
  lessEqual,
  matmul,
  max,
  mul,
  normal,
  permute,
  reshape,
  softmax,
  sum,
  type Tensor,
  where,
} from '@lockstep/tensor';
import { choice, count, defineChapter, seedControl } from '../chapter.ts';
import { decimal, figures, percent, table } from '../exhibit.ts';
import { gradientsOf, meanOf, valuesOf } from '../values.ts';

/** Number of tokens in the random example. */
const tokens = 24;

/** A token's query, key and value, chosen by hand; a Transformer computes them with three weight matrices. */
interface Word {
  readonly word: string;
  readonly query: readonly number[];
  readonly key: readonly number[];
  readonly value: readonly number[];
}

/** The first number of queries, keys and values stands for "a noun", the second one for "a verb". */
const byMeaning: readonly Word[] = [
  { word: 'the', query: [2, 0], key: [0, 0], value: [0, 0] },
  { word: 'cat', query: [0, 3], key: [2, 0], value: [1, 0] },
  { word: 'slept', query: [3, 0], key: [0, 2], value: [0, 1] },
  { word: 'because', query: [0, 3], key: [0, 0], value: [0, 0] },
  { word: 'it', query: [3, 0], key: [1, 0], value: [0, 0] },
  { word: 'was', query: [3, 0], key: [0, 0], value: [0, 1] },
  { word: 'tired', query: [3, 0], key: [0, 0], value: [0, 0] },
];
const words = byMeaning.map(({ word }) => word);
const width = 2;

/** A key points in the direction of its token's place, as on a clock, and a query in that of the place before. */
const byPlace: readonly Word[] = byMeaning.map(({ word, value }, place) => {
  const at = (hour: number, length: number): readonly number[] => {
    const angle = (2 * Math.PI * hour) / (words.length + 1);
    return [length * Math.cos(angle), length * Math.sin(angle)];
  };
  return { word, query: at(place - 1, 6), key: at(place, 2), value };
});

const sentences = { meaning: byMeaning, place: byPlace } as const;
type Head = keyof typeof sentences;

/** Lines of `attentionWeights` and `attend` below, which a test compares with this file. */
export const attentionLines = [
  { code: 'const scores = div(matmul(queries, keys, { transposeRight: true }), divisor);', note: 'Q Kᵀ / √d' },
  { code: 'return softmax(where(isEarlier, scores, Number.NEGATIVE_INFINITY));', note: 'the mask, then softmax' },
  {
    code: "const results = valuesOf(backend, () => matmul(fromArray(backend, weights, square), rowsOf('value')));",
    note: 'the weighted mean of the values',
  },
] as const;

export const attention = defineChapter({
  id: 'attention',
  title: 'Attention, and why it is scaled',
  claim: 'Unless attention scores are divided by √d, they spread until softmax puts nearly all weight on one token.',
  text: [
    '[[Attention]] lets every token take information from the other tokens. Each token has three vectors. Its [[query]] asks a question, its [[key]] offers an answer to the questions of others, and its [[value]] is what it hands over. A [[dot product]] of query and key measures how well the answer matches the question. [[Softmax]] turns these scores into weights, and the result is the weighted mean of the values: softmax(Q Kᵀ / √d) V.',
    'In the sentence the query of "it" asks for a noun. The key of "cat" offers a noun, so "it" takes its value mostly from "cat". Choose another token and see where its query looks.',
    'A sentence has more than one question to ask, so attention has several [[attention head|heads]], each with queries, keys and values of its own. The second head here asks for the token before. The results of all heads are joined into one vector.',
    'A model that writes must not look ahead: the next token is what it has to predict. A [[mask]] sets the scores of later tokens to minus infinity, so their weights are exactly 0. The map is then empty above its diagonal.',
    'The dot product of two random vectors of d numbers has a standard deviation of √d. With d = 512, scores exceed 60, softmax puts nearly all weight on the largest, and hardly any [[gradient]] comes back through the others. Dividing by √d acts as a [[temperature]] that keeps the standard deviation at 1 for every d.',
  ],
  controls: {
    token: choice('Query token', ['the', 'cat', 'slept', 'because', 'it', 'was', 'tired'], 'it'),
    head: choice('Head asks for', ['meaning', 'place'], 'meaning'),
    mask: choice('A token sees', ['all tokens', 'tokens before it'], 'all tokens'),
    size: count({ label: 'Numbers in a query, d', from: 2, to: 1024, fallback: 512, scale: 'log' }),
    scale: choice('Scores divided by', ['√d', '1'], '√d'),
    seed: seedControl,
  },
  *run({ backend }, { token, head, mask, size, scale, seed }) {
    const both = [Math.sqrt(size), 1].map((divisor) => attendRandomly(backend, size, divisor, seed));
    const isMasked = mask === 'tokens before it';
    const heads = { meaning: attend(backend, 'meaning', isMasked), place: attend(backend, 'place', isMasked) };
    const asked = askedBy(backend, token, head, heads[head]);
    const joined = Object.values(heads).flatMap(({ results }) => [...resultOf(results, words.indexOf(token))]);
    yield {
      token,
      head,
      heads,
      asked,
      joined,
      size,
      scaled: both[0]!,
      plain: both[1]!,
      shown: both[scale === '√d' ? 0 : 1]!,
    };
  },
  show: ({ token, head, heads, asked, joined, size, scaled, plain, shown }) => [
    table(
      `"${token}" asks with the query ${vectorText(asked.query, 1)}`,
      ['token', 'key', 'q · k', 'q · k / √2', 'weight', 'value'],
      sentences[head].map(({ word, key, value }, row) => [
        word,
        vectorText(key, 1),
        decimal(asked.products[row]!, 1),
        decimal(asked.scores[row]!, 1),
        percent(asked.weights[row]!, 1),
        vectorText(value),
      ]),
    ),
    figures({
      [`"${token}" looks at`]: asked.looksAt,
      'sum of the weights': percent(asked.weights.reduce((total, weight) => total + weight, 0)),
      'result, weights x values': vectorText(asked.result),
      'results of both heads, joined': vectorText(joined),
    }),
    {
      kind: 'attention',
      caption: 'Attention of both heads: each row is a query, each column a key',
      tokens: words,
      maps: [
        { label: 'a head that asks for meaning', weights: heads.meaning.weights },
        { label: 'a head that asks for the token before', weights: heads.place.weights },
      ],
    },
    { kind: 'code', caption: 'Attention in three lines', lines: attentionLines },
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

function vectorText(vector: Iterable<number>, digits = 2): string {
  return `(${Array.from(vector, (value) => Number(value.toFixed(digits)) + 0).join(', ')})`;
}

/**
 * Returns attention weights [..., tokens, tokens] of queries and keys [..., tokens, d]: a row for each query.
 * @param isMasked whether each token sees only itself and the tokens before it
 */
export function attentionWeights(queries: Tensor, keys: Tensor, isMasked: boolean): Tensor {
  const divisor = Math.sqrt(queries.shape.at(-1)!);
  const scores = div(matmul(queries, keys, { transposeRight: true }), divisor);
  if (!isMasked) return softmax(scores);
  const places = arange(queries.backend, queries.shape.at(-2)!);
  const isEarlier = lessEqual(places, reshape(places, [-1, 1]));
  return softmax(where(isEarlier, scores, Number.NEGATIVE_INFINITY));
}

/** Computes a head over the sentence: weights [tokens, tokens], and each token's weighted mean of the values. */
function attend(backend: HostBackend, head: Head, isMasked: boolean) {
  const rowsOf = (part: 'query' | 'key' | 'value'): Tensor => {
    const vectors = sentences[head].map((each) => each[part]);
    return fromArray(backend, vectors.flat(), [words.length, width]);
  };
  const weights = valuesOf(backend, () => attentionWeights(rowsOf('query'), rowsOf('key'), isMasked));
  const square = [words.length, words.length];
  const results = valuesOf(backend, () => matmul(fromArray(backend, weights, square), rowsOf('value')));
  return { weights, results };
}

/** Returns how one token asks: its scores, its weights, and its result. */
function askedBy(backend: HostBackend, token: string, head: Head, { weights, results }: ReturnType<typeof attend>) {
  const row = words.indexOf(token);
  const { query } = sentences[head][row]!;
  const keys = sentences[head].map(({ key }) => key);
  const products = valuesOf(backend, () =>
    matmul(fromArray(backend, keys.flat(), [words.length, width]), fromArray(backend, query)),
  );
  const scores = valuesOf(backend, () => div(fromArray(backend, products), Math.sqrt(width)));
  const own = weights.subarray(row * words.length, (row + 1) * words.length);
  const looksAt = words[own.indexOf(Math.max(...own))]!;
  return { query, products, scores, weights: own, looksAt, result: resultOf(results, row) };
}

function resultOf(results: Float32Array, row: number): Float32Array {
  return results.subarray(row * width, (row + 1) * width);
}

function attendRandomly(backend: HostBackend, size: number, divisor: number, seed: number) {
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
