/** The layers of sequences: their samples are tokens [positions], or one row for each position [positions, width]. */

import { maxTokens } from '@lockstep/data';
import {
  add,
  div,
  dropout,
  formatShape,
  indexSelect,
  layerNorm as layerNormOp,
  matmul,
  maximum,
  mean,
  mul,
  notEqual,
  permute,
  reshape,
  type Shape,
  sigmoid,
  slice,
  softmax,
  stack,
  sub,
  sum,
  type Tensor,
  tanh,
  where,
  zeros,
} from '@lockstep/tensor';
import * as v from 'valibot';
import { fractionBelowOne, positive, wholeNumberFrom } from './check.ts';
import {
  constant,
  init,
  initializersOf,
  type LayerKind,
  type LayerParameter,
  matrixParameter,
  normal,
  parameter,
  uniformByFan,
} from './layer-kind.ts';

const unitsSetting = wholeNumberFrom(1, 65_536);

/** Returns `[positions, width]`; throws one sentence if a sample is not a sequence of rows. */
function rowsShape(shape: Shape): readonly [positions: number, width: number] {
  if (shape.length === 2) return shape as readonly [number, number];
  throw new Error(`expected a sample of [positions, width], got ${formatShape(shape)}`);
}

const embeddingSchema = v.strictObject({
  type: v.literal('embedding'),
  /** Size of the vocabulary. */
  tokens: wholeNumberFrom(2, maxTokens),
  width: unitsSetting,
  init,
});

/** Maps each token to its row of the weight, as `torch.nn.Embedding` does. */
const embedding = {
  schema: embeddingSchema,
  outputShape(config, input, { isFirst }) {
    if (!isFirst) throw new Error('expected an embedding as the first layer of a model, which reads the tokens');
    if (input.length !== 1) throw new Error(`expected a sample of [positions], got ${formatShape(input)}`);
    return [...input, config.width];
  },
  parameters: ({ tokens, width, init }) => [
    parameter('weight', [tokens, width], init ? initializersOf(init, tokens, width).weight : normal(1)),
  ],
  forward: (_, input, [weight]) => indexSelect(weight!, input),
} satisfies LayerKind<v.InferOutput<typeof embeddingSchema>>;

const positionsSchema = v.strictObject({ type: v.literal('positions'), init });

/** Adds a learned row for each position. */
const positions = {
  schema: positionsSchema,
  parameters({ init }, input) {
    const [count, width] = rowsShape(input);
    return [parameter('weight', [count, width], init ? initializersOf(init, count, width).weight : normal(1))];
  },
  forward: (_, input, [weight]) => add(input, weight!),
} satisfies LayerKind<v.InferOutput<typeof positionsSchema>>;

const layerNormSchema = v.strictObject({
  type: v.literal('layerNorm'),
  /** Added to the variance; 1e-5 by default. */
  epsilon: v.exactOptional(positive),
});

/** `(x - mean) / sqrt(variance + epsilon) * weight + bias` of each row, as `torch.nn.LayerNorm` over the last axis. */
const layerNorm = {
  schema: layerNormSchema,
  parameters: (_, input) => [
    parameter('weight', input.slice(-1), constant(1)),
    parameter('bias', input.slice(-1), constant(0)),
  ],
  forward({ epsilon = 1e-5 }, input, [weight, bias]) {
    return add(mul(layerNormOp(input, { epsilon }), weight!), bias!);
  },
} satisfies LayerKind<v.InferOutput<typeof layerNormSchema>>;

const attentionSchema = v.strictObject({
  type: v.literal('attention'),
  heads: wholeNumberFrom(1, 1024),
  /** Rate of dropout on the attention probabilities; 0 by default. */
  dropout: v.exactOptional(fractionBelowOne),
  /** Whether a position sees only itself and earlier ones; true by default. */
  causal: v.exactOptional(v.boolean('expected true or false')),
  init,
  /** Initial weights of the output projection; by default as `init`. */
  projectionInit: init,
});

type AttentionConfig = v.InferOutput<typeof attentionSchema>;

/** Most attention scores of a sample. */
const maximumScores = 2 ** 28;

/** Self-attention with the parameters of GPT-2: `c_attn` makes queries, keys and values, `c_proj` joins the heads. */
const attention = {
  schema: attentionSchema,
  parameters({ init, projectionInit = init, heads }, input) {
    const [positions, width] = rowsShape(input);
    if (width % heads !== 0) throw new Error(`expected a width that ${heads} heads divide, got ${width}`);
    if (positions * positions * heads > maximumScores) {
      throw new Error(`expected at most ${maximumScores} attention scores, got ${positions} x ${positions} x ${heads}`);
    }
    const inner = initializersOf(init, width, 3 * width);
    const projection = initializersOf(projectionInit, width, width);
    return [
      matrixParameter('c_attn.weight', [width, 3 * width], inner.weight),
      parameter('c_attn.bias', [3 * width], inner.bias),
      matrixParameter('c_proj.weight', [width, width], projection.weight),
      parameter('c_proj.bias', [width], projection.bias),
    ];
  },
  isRandom: ({ dropout = 0 }) => dropout > 0,
  forward(config, input, [weight, bias, projection, projectionBias], { random }) {
    const { dropout: rate = 0, causal = true, heads } = config;
    const [samples, positions, width] = input.shape as readonly [number, number, number];
    const split = reshape(add(matmul(input, weight!), bias!), [samples, positions, 3, heads, width / heads]);
    const [queries, keys, values] = [0, 1, 2].map((part) => {
      const own = slice(split, [{}, {}, { start: part, end: part + 1 }]);
      return permute(reshape(own, [samples, positions, heads, width / heads]), [0, 2, 1, 3]);
    });
    const scores = matmul(queries!, keys!, { transposeRight: true });
    const probabilities = softmax(scores, { temperature: Math.sqrt(width / heads), causal });
    const kept = random ? dropout(probabilities, rate, random) : probabilities;
    const joined = reshape(permute(matmul(kept, values!), [0, 2, 1, 3]), input.shape);
    return add(matmul(joined, projection!), projectionBias!);
  },
} satisfies LayerKind<AttentionConfig>;

const tiedOutputSchema = v.strictObject({ type: v.literal('tiedOutput') });

/** Scores of the tokens at each position: the product with the embedding's weight, which it shares. */
const tiedOutput = {
  schema: tiedOutputSchema,
  outputShape(_, input, { embedding }) {
    const [positions, width] = rowsShape(input);
    if (!embedding) throw new Error('expected a model whose first layer is an embedding, which the output shares');
    if (embedding.width === width) return [positions, embedding.tokens];
    throw new Error(`expected the width ${embedding.width} of the embedding, got ${width}`);
  },
  forward: (_, input, __, { text }) => matmul(input, text!.embedding, { transposeRight: true }),
} satisfies LayerKind<v.InferOutput<typeof tiedOutputSchema>>;

const meanPositionsSchema = v.strictObject({ type: v.literal('meanPositions') });

/** Mean over the positions, without those whose token is 0, which fills short texts. */
const meanPositions = {
  schema: meanPositionsSchema,
  outputShape: (_, input) => [rowsShape(input)[1]],
  forward(_, input, __, { text }) {
    if (!text) return mean(input, { axes: [1] });
    const isToken = notEqual(text.tokens, 0);
    const shown = where(reshape(isToken, [...isToken.shape, 1]), input, 0);
    const count = maximum(sum(isToken, { axes: [1], keepAxes: true }), 1);
    return div(sum(shown, { axes: [1] }), count);
  },
} satisfies LayerKind<v.InferOutput<typeof meanPositionsSchema>>;

/** Parameters of a recurrent layer with `gates` gates, as in `torch.nn.LSTM` and `torch.nn.GRU`. */
function recurrentParameters(gates: number, units: number, input: Shape): LayerParameter[] {
  const initial = uniformByFan(units);
  const [, width] = rowsShape(input);
  return [
    matrixParameter('weight_ih_l0', [width, gates * units], initial),
    matrixParameter('weight_hh_l0', [units, gates * units], initial),
    parameter('bias_ih_l0', [gates * units], initial),
    parameter('bias_hh_l0', [gates * units], initial),
  ];
}

/** Maps one position [n, gates * units] of the input's product and the state to the new state; its first is the output. */
type Cell = (input: Tensor, state: readonly Tensor[], weight: Tensor, bias: Tensor) => readonly Tensor[];

/** Returns gate number `index` of [n, gates * units]. */
function gate(gates: Tensor, units: number, index: number): Tensor {
  return slice(gates, [{}, { start: index * units, end: (index + 1) * units }]);
}

function recurrent<const Type extends string>(type: Type, gates: number, states: number, cell: Cell) {
  const schema = v.strictObject({ type: v.literal(type), units: unitsSetting });
  return {
    schema,
    outputShape: ({ units }, input) => [rowsShape(input)[0], units],
    parameters: ({ units }, input) => recurrentParameters(gates, units, input),
    forward({ units }, input, [inputWeight, weight, inputBias, bias]) {
      const [samples, positions] = input.shape as readonly [number, number, number];
      const products = add(matmul(input, inputWeight!), inputBias!);
      let state: readonly Tensor[] = Array.from({ length: states }, () => zeros(input.backend, [samples, units]));
      const outputs = Array.from({ length: positions }, (_, at) => {
        const own = reshape(slice(products, [{}, { start: at, end: at + 1 }]), [samples, gates * units]);
        state = cell(own, state, weight!, bias!);
        return state[0]!;
      });
      return stack(outputs, 1);
    },
  } satisfies LayerKind<v.InferOutput<typeof schema>>;
}

/** Same as `torch.nn.LSTM` with one layer, from a state of zeros. */
const lstm = recurrent('lstm', 4, 2, (input, [output, memory], weight, bias) => {
  const units = output!.shape[1]!;
  const gates = add(input, add(matmul(output!, weight), bias));
  const [enter, forget, leave] = [0, 1, 3].map((index) => sigmoid(gate(gates, units, index)));
  const kept = add(mul(forget!, memory!), mul(enter!, tanh(gate(gates, units, 2))));
  return [mul(leave!, tanh(kept)), kept];
});

/** Same as `torch.nn.GRU` with one layer, from a state of zeros. */
const gru = recurrent('gru', 3, 1, (input, [output], weight, bias) => {
  const units = output!.shape[1]!;
  const product = add(matmul(output!, weight), bias);
  const [reset, update] = [0, 1].map((index) => sigmoid(add(gate(input, units, index), gate(product, units, index))));
  const fresh = tanh(add(gate(input, units, 2), mul(reset!, gate(product, units, 2))));
  return [add(mul(sub(1, update!), fresh), mul(update!, output!))];
});

/** The entries of the table of layers, by type. */
export const sequenceLayers = { embedding, positions, layerNorm, attention, tiedOutput, meanPositions, lstm, gru };
