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
  defineLayer,
  init,
  initializersOf,
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
const embedding = defineLayer(embeddingSchema, {
  outputShape(config, input, { isFirst }) {
    if (!isFirst) throw new Error('expected an embedding as the first layer of a model, which reads the tokens');
    if (input.length !== 1) throw new Error(`expected a sample of [positions], got ${formatShape(input)}`);
    return [...input, config.width];
  },
  parameters: ({ tokens, width, init }) => [
    parameter('weight', [tokens, width], init ? initializersOf(init, tokens, width).weight : normal(1)),
  ],
  forward: (_, input, [weight]) => indexSelect(weight!, input),
});

/** Adds a learned row for each position. */
const positions = defineLayer(v.strictObject({ type: v.literal('positions'), init }), {
  parameters({ init }, input) {
    const [count, width] = rowsShape(input);
    return [parameter('weight', [count, width], init ? initializersOf(init, count, width).weight : normal(1))];
  },
  forward: (_, input, [weight]) => add(input, weight!),
  stepwise: {
    isBounded: true,
    next: (_, input, [weight], __, { position }) => [add(input, indexSelect(weight!, position))],
  },
});

const layerNormSchema = v.strictObject({
  type: v.literal('layerNorm'),
  /** Added to the variance; 1e-5 by default. */
  epsilon: v.exactOptional(positive),
});

/** `(x - mean) / sqrt(variance + epsilon) * weight + bias` of each row, as `torch.nn.LayerNorm` over the last axis. */
const layerNorm = defineLayer(layerNormSchema, {
  parameters: (_, input) => [
    parameter('weight', input.slice(-1), constant(1)),
    parameter('bias', input.slice(-1), constant(0)),
  ],
  forward({ epsilon = 1e-5 }, input, [weight, bias]) {
    return add(mul(layerNormOp(input, { epsilon }), weight!), bias!);
  },
});

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

/** Most attention scores of a sample. */
const maximumScores = 2 ** 28;

/** Self-attention with the parameters of GPT-2: `c_attn` makes queries, keys and values, `c_proj` joins the heads. */
const attention = defineLayer(attentionSchema, {
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
  forward(config, input, [weight, bias, projection, projectionBias], { random, attend }) {
    const { dropout: rate = 0, causal = true, heads } = config;
    const [queries, keys, values] = splitHeads(add(matmul(input, weight!), bias!), heads);
    const temperature = Math.sqrt(queries.shape[3]!);
    const probabilities = softmax(matmul(queries, keys, { transposeRight: true }), { temperature, causal });
    attend(probabilities);
    const kept = random ? dropout(probabilities, rate, random) : probabilities;
    return add(matmul(joinHeads(matmul(kept, values)), projection!), projectionBias!);
  },
  stepwise: {
    isBounded: true,
    memory({ heads, causal = true }, [positions, width]) {
      if (!causal) throw new Error('generation: expected attention that is causal');
      return Array.from({ length: 2 }, () => [1, heads, positions!, width! / heads]);
    },
    next({ heads }, input, [weight, bias, projection, projectionBias], memory, { isHere, isRead }) {
      const [query, key, value] = splitHeads(add(matmul(input, weight!), bias!), heads);
      const [keys, values] = [key, value].map((own, index) => where(reshape(isHere, [-1, 1]), own, memory[index]!));
      const scores = where(isRead, matmul(query, keys!, { transposeRight: true }), unread);
      const probabilities = softmax(scores, { temperature: Math.sqrt(query.shape[3]!) });
      const output = add(matmul(joinHeads(matmul(probabilities, values!)), projection!), projectionBias!);
      return [output, keys!, values!];
    },
  },
});

/** Score of a position that is not read yet: its power is 0 next to that of any real score. */
const unread = -1e30;

/** Splits [samples, positions, 3 width] into queries, keys and values [samples, heads, positions, width / heads]. */
function splitHeads(joined: Tensor, heads: number): readonly [queries: Tensor, keys: Tensor, values: Tensor] {
  const [samples, positions, size] = joined.shape as readonly [number, number, number];
  const split = reshape(joined, [samples, positions, 3, heads, size / 3 / heads]);
  const part = (index: number): Tensor => {
    const own = slice(split, [{}, {}, { start: index, end: index + 1 }]);
    return permute(reshape(own, split.shape.toSpliced(2, 1)), [0, 2, 1, 3]);
  };
  return [part(0), part(1), part(2)];
}

/** Joins heads [samples, heads, positions, size] to [samples, positions, heads * size]. */
function joinHeads(heads: Tensor): Tensor {
  const [samples, , positions] = heads.shape as readonly [number, number, number, number];
  return reshape(permute(heads, [0, 2, 1, 3]), [samples, positions, -1]);
}

/** Scores of the tokens at each position: the product with the embedding's weight, which it shares. */
const tiedOutput = defineLayer(v.strictObject({ type: v.literal('tiedOutput') }), {
  outputShape(_, input, { embedding }) {
    const [positions, width] = rowsShape(input);
    if (!embedding) throw new Error('expected a model whose first layer is an embedding, which the output shares');
    if (embedding.width === width) return [positions, embedding.tokens];
    throw new Error(`expected the width ${embedding.width} of the embedding, got ${width}`);
  },
  forward: (_, input, __, { text }) => matmul(input, text!.embedding, { transposeRight: true }),
});

/** Mean over the positions, without those whose token is 0, which fills short texts. */
const meanPositions = defineLayer(v.strictObject({ type: v.literal('meanPositions') }), {
  outputShape: (_, input) => [rowsShape(input)[1]],
  forward(_, input, __, { text }) {
    if (!text) return mean(input, { axes: [1] });
    const isToken = notEqual(text.tokens, 0);
    const shown = where(reshape(isToken, [...isToken.shape, 1]), input, 0);
    const count = maximum(sum(isToken, { axes: [1], keepAxes: true }), 1);
    return div(sum(shown, { axes: [1] }), count);
  },
});

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
  return defineLayer(schema, {
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
    stepwise: {
      isBounded: false,
      memory: ({ units }) => Array.from({ length: states }, () => [1, units]),
      next(_, input, [inputWeight, weight, inputBias, bias], memory) {
        const product = add(matmul(input, inputWeight!), inputBias!);
        const state = cell(reshape(product, [1, -1]), memory, weight!, bias!);
        return [reshape(state[0]!, [1, 1, -1]), ...state];
      },
    },
  });
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
