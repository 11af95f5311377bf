/** Models of text compared with PyTorch (`goldens/make_sequence_goldens.py`), and texts that they continue. */
import { readFileSync } from 'node:fs';
import { classField, nextTargets, type SampleField, scaledField, type TargetField, tokenField } from '@lockstep/data';
import { fromArray, type HostBackend, type Tensor } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  continueText,
  createGeneration,
  createMicrobatchGradient,
  createOptimizer,
  createPrediction,
  fitFault,
  forward,
  fromTorch,
  initialize,
  inputSize,
  type Layer,
  type Model,
  outputCount,
  parameterLayout,
  parseModel,
  parseOptimizer,
  readSafetensors,
  resolveModel,
  sampleToken,
} from '../src/index.ts';
import { backends } from './backends.ts';

interface Golden {
  readonly samples: readonly (readonly number[])[];
  readonly positions: number;
  readonly correct: number;
  readonly losses: readonly number[];
  readonly prompt: readonly number[];
  readonly generated: readonly number[];
}

const file = (name: string) => readFileSync(new URL(`../goldens/${name}`, import.meta.url));
const goldens: Readonly<Record<string, Golden>> = JSON.parse(file('sequences.json').toString());
const { tensors } = readSafetensors(file('sequences.safetensors'));

function valuesOf(name: string): Float32Array {
  return tensors.find((tensor) => tensor.name === name)!.values;
}

/** Returns the flat vector of a model's tensors under a prefix, in our layout. */
function vectorOf(model: Model, prefix: string): Float32Array {
  return Float32Array.from(
    parameterLayout(model).flatMap(({ name, torch }) => [...fromTorch(valuesOf(`${prefix} ${name}`), torch)]),
  );
}

const block = (width: number, heads: number): Layer[] => [
  { type: 'residual', layers: [{ type: 'layerNorm' }, { type: 'attention', heads }] },
  {
    type: 'residual',
    layers: [
      { type: 'layerNorm' },
      { type: 'dense', units: 4 * width },
      { type: 'gelu' },
      { type: 'dense', units: width },
    ],
  },
];

const recurrent = (type: 'lstm' | 'gru'): Layer[] => [
  { type: 'embedding', tokens: 11, width: 6 },
  { type, units: 9 },
  { type: 'dense', units: 11 },
];

const modelOf = (name: string, positions: number, layers: readonly Layer[]) =>
  parseModel({ name, input: [positions], layers });

const models = {
  'gpt-nano': resolveModel('gpt-nano'),
  lines: modelOf('lines', 16, [
    { type: 'embedding', tokens: 27, width: 8 },
    { type: 'positions' },
    ...block(8, 2),
    { type: 'layerNorm' },
    { type: 'tiedOutput' },
  ]),
  lstm: modelOf('lstm', 8, recurrent('lstm')),
  gru: modelOf('gru', 8, recurrent('gru')),
  mixed: modelOf('mixed', 8, [
    { type: 'embedding', tokens: 11, width: 8 },
    { type: 'lstm', units: 8 },
    { type: 'residual', layers: [{ type: 'layerNorm' }, { type: 'attention', heads: 2 }] },
    { type: 'dense', units: 8 },
    { type: 'tanh' },
    { type: 'tiedOutput' },
  ]),
};

/** Largest difference, relative to the largest expected value. */
function offBy(expected: Float32Array, got: Float32Array): number {
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return expected.reduce((largest, value, at) => Math.max(largest, Math.abs(value - got[at]!)), 0) / scale;
}

describe.each(backends)('models of text on $name', ({ open }) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await open();
  });

  test.each(Object.entries(models))(
    '%s: scores, gradients and three steps of AdamW are those of PyTorch',
    (name, model) => {
      const { samples, positions, correct, losses } = goldens[name]!;
      const layout = parameterLayout(model);
      const parameters = backend.allocate(vectorOf(model, `${name} weights`).length);
      backend.upload(parameters, vectorOf(model, `${name} weights`));
      const size = parameters.length;

      const prediction = createPrediction(backend, model, samples.length, parameters);
      prediction.run(Uint8Array.from(samples.flatMap((sample) => sample.slice(0, -1))));
      expect(offBy(valuesOf(`${name} logits`), backend.view(prediction.output))).toBeLessThan(1e-5);
      prediction.dispose();

      const targetField = nextTargets([], positions, name === 'lines');
      const microbatch = createMicrobatchGradient(backend, model, samples.length, parameters, { targetField });
      const optimizer = createOptimizer(
        backend,
        parseOptimizer({
          type: 'adamw',
          learningRate: 0.01,
          beta2: 0.99,
          epsilon: 1e-4,
          weightDecay: 0.1,
          clipNorm: 1,
        }),
        parameters,
        layout,
      );
      for (const [step, loss] of losses.entries()) {
        microbatch.run(Uint8Array.from(samples.flat()), new Uint8Array());
        const output = backend.view(microbatch.output).slice();
        expect(Math.abs(output[size]! / samples.length / loss - 1)).toBeLessThan(1e-5);
        if (step === 0) {
          expect(output[size + 1]).toBe(correct);
          const mean = output.map((value) => value / samples.length);
          for (const { name: own, offset, size, torch } of layout) {
            const expected = fromTorch(valuesOf(`${name} gradient ${own}`), torch);
            expect(offBy(expected, mean.subarray(offset, offset + size)), own).toBeLessThan(2e-5);
          }
        }
        optimizer.step(samples.length, microbatch.output);
      }
      expect(offBy(vectorOf(model, `${name} after`), backend.view(parameters))).toBeLessThan(1e-4);
      optimizer.dispose();
      microbatch.dispose();
      backend.free(parameters);
    },
  );

  test.each(Object.entries(models).filter(([name]) => goldens[name]!.generated))(
    '%s continues a text with the 200 tokens of PyTorch',
    (name, model) => {
      const { prompt, generated } = goldens[name]!;
      const weights = vectorOf(model, `${name} trained`);
      const parameters = backend.allocate(weights.length);
      backend.upload(parameters, weights);
      const generation = createGeneration(backend, model, parameters);
      const greedy = { temperature: 0, random: () => Number.NaN };
      let scores = generation.begin(prompt);
      const got = generated.map(() => {
        const token = sampleToken(scores, greedy);
        scores = generation.next(token);
        return token;
      });
      expect(got).toEqual(generated);
      generation.dispose();
      backend.free(parameters);
    },
  );

  test('shows the attention of each head: probabilities of the positions up to its own', async () => {
    const model = models['gpt-nano'];
    const weights = vectorOf(model, 'gpt-nano trained');
    const tensors = parameterLayout(model).map(({ offset, size, shape }) =>
      fromArray(backend, weights.subarray(offset, offset + size), shape),
    );
    const seen: [path: string, probabilities: Tensor][] = [];
    const x = fromArray(backend, goldens['gpt-nano']!.samples[0]!.slice(0, 16), [1, 16]);
    forward(model, x, tensors, { attend: (probabilities, { path }) => seen.push([path, probabilities]) });
    expect(seen.map(([path, { shape }]) => [path, shape])).toEqual([
      ['2.1', [1, 2, 16, 16]],
      ['4.1', [1, 2, 16, 16]],
    ]);
    for (const [, probabilities] of seen) {
      const values = await probabilities.values();
      for (let row = 0; row < 32; row++) {
        const own = values.subarray(row * 16, (row + 1) * 16);
        const sum = own.reduce((total, value) => total + value, 0);
        expect(sum).toBeCloseTo(1, 5);
        expect([...own.subarray((row % 16) + 1)]).toEqual(Array(15 - (row % 16)).fill(0));
      }
    }
  });

  /** Any mix of the layers that predict at each position. */
  const mixes = fc
    .record({
      context: fc.integer({ min: 1, max: 9 }),
      tokens: fc.integer({ min: 2, max: 9 }),
      body: fc.array(fc.constantFrom('positions', 'attention', 'lstm', 'gru', 'dense', 'layerNorm'), { maxLength: 4 }),
      isTied: fc.boolean(),
    })
    .map(({ context, tokens, body, isTied }) => {
      const layers = {
        positions: { type: 'positions' },
        attention: {
          type: 'residual',
          layers: [
            { type: 'attention', heads: 2 },
            { type: 'dropout', rate: 0.5 },
          ],
        },
        lstm: { type: 'lstm', units: 4 },
        gru: { type: 'residual', layers: [{ type: 'gru', units: 4 }] },
        dense: { type: 'dense', units: 4 },
        layerNorm: { type: 'layerNorm' },
      };
      const head = isTied ? { type: 'tiedOutput' } : { type: 'dense', units: tokens };
      const first = { type: 'embedding', tokens, width: 4 };
      return parseModel({ name: 'mix', input: [context], layers: [first, ...body.map((type) => layers[type]), head] });
    });

  test('the scores of the next token have the bits of a prediction of the whole text', () => {
    fc.assert(
      fc.property(mixes, fc.nat(), (model, seed) => {
        const [context, tokens] = [inputSize(model), outputCount(model)];
        const weights = initialize(model, seed);
        const parameters = backend.allocate(weights.length);
        backend.upload(parameters, weights);
        const text = Uint8Array.from({ length: context }, (_, at) => (seed + at * at) % tokens);
        const prediction = createPrediction(backend, model, 1, parameters);
        prediction.run(text);
        const whole = new Uint32Array(backend.view(prediction.output).slice().buffer);
        const generation = createGeneration(backend, model, parameters);
        // Reads another text first, whose traces must vanish.
        generation.begin(text.toReversed());
        const bitsOf = (scores: Float32Array) => [...new Uint32Array(scores.slice().buffer)];
        const rows = [...text].map((token, at) =>
          bitsOf(at === 0 ? generation.begin([token]) : generation.next(token)),
        );
        expect(rows.flat()).toEqual([...whole]);
        // The token after the context makes a bounded model forget the first half.
        const isBounded = JSON.stringify(model.layers).match(/positions|attention/) !== null;
        const last = bitsOf(generation.next(0));
        const kept = isBounded ? [...text.slice(Math.ceil(context / 2)), 0] : [...text, 0];
        expect(last).toEqual(bitsOf(generation.begin(kept)));
        generation.dispose();
        prediction.dispose();
        backend.free(parameters);
      }),
      { numRuns: 30, seed: 5 },
    );
  });
});

describe('a model of text', () => {
  const [{ open }] = backends as [(typeof backends)[number]];

  test.each<[string, readonly object[], string]>([
    [
      'an embedding that is not first',
      [{ type: 'relu' }, { type: 'embedding', tokens: 5, width: 2 }],
      'layers[1] (embedding): expected an embedding as the first layer of a model, which reads the tokens',
    ],
    [
      'a tied output of another width',
      [{ type: 'embedding', tokens: 5, width: 2 }, { type: 'dense', units: 3 }, { type: 'tiedOutput' }],
      'layers[2] (tiedOutput): expected the width 2 of the embedding, got 3',
    ],
    [
      'attention on tokens',
      [{ type: 'attention', heads: 1 }],
      'layers[0] (attention): expected a sample of [positions, width], got [4]',
    ],
  ])('cannot have %s', (_, layers, message) => {
    expect(() => parseModel({ name: 'text', input: [4], layers })).toThrow(new Error(message));
  });

  test('cannot have a context whose attention would not fit into memory', () => {
    const layers = [
      { type: 'embedding', tokens: 5, width: 2 },
      { type: 'attention', heads: 2 },
    ];
    expect(() => parseModel({ name: 'text', input: [16_384], layers })).toThrow(
      'layers[1] (attention): expected at most 268435456 attention scores, got 16384 x 16384 x 2',
    );
  });

  test('must fit the samples and the targets', () => {
    const next = nextTargets([], 16);
    const image = scaledField([16]);
    const nano = models['gpt-nano'];
    const classifier = resolveModel('gpt-nano', { sampleShape: [16], outputs: 2, tokens: 27 });
    const pixels = resolveModel('mlp', { sampleShape: [16], outputs: 2 });
    const attention: Layer = { type: 'attention', heads: 1, causal: false };
    const seesAll = modelOf('all', 16, [
      { type: 'embedding', tokens: 27, width: 2 },
      { type: 'residual', layers: [attention] },
      { type: 'tiedOutput' },
    ]);
    const cases: [Model, SampleField, TargetField, string | undefined][] = [
      [nano, tokenField(17, 27), next, undefined],
      [classifier, tokenField(16, 27), classField, undefined],
      [pixels, image, classField, undefined],
      [pixels, tokenField(16, 27), classField, 'expected an embedding as the first layer, to read tokens'],
      [classifier, image, classField, 'expected a text, whose tokens the embedding reads'],
      [nano, tokenField(17, 30), next, 'expected an embedding of 30 tokens, as the text has, got 27'],
      [
        classifier,
        tokenField(17, 27),
        next,
        'expected scores of the next token at each position, got one row of outputs',
      ],
      [
        seesAll,
        tokenField(17, 27),
        next,
        'layers[1].layers[0].causal: expected true to predict the next token, got false, which lets each position see it',
      ],
      [
        nano,
        tokenField(16, 27),
        classField,
        'expected one row of outputs for a text, such as meanPositions gives, got a row for each position',
      ],
    ];
    for (const [model, samples, targets, fault] of cases) expect(fitFault(model, samples, targets)).toBe(fault);
  });

  test('decays only tensors of two or more axes', () => {
    const layout = parameterLayout(resolveModel('gpt-nano'));
    for (const { name, shape, decays } of layout) expect(decays, name).toBe(shape.length > 1);
  });

  test('begins with the deviations of nanoGPT', () => {
    const model = resolveModel('gpt');
    const weights = initialize(model, 3);
    const deviationOf = (name: string): number => {
      const { offset, size } = parameterLayout(model).find((parameter) => parameter.name === name)!;
      const values = weights.subarray(offset, offset + size);
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / size);
    };
    expect(deviationOf('transformer.wte.weight')).toBeCloseTo(0.02, 3);
    expect(deviationOf('transformer.h.0.attn.c_attn.weight')).toBeCloseTo(0.02, 3);
    expect(deviationOf('transformer.h.0.attn.c_proj.weight')).toBeCloseTo(0.02 / Math.sqrt(8), 3);
    expect(deviationOf('transformer.h.0.attn.c_attn.bias')).toBe(0);
    expect(deviationOf('transformer.h.0.ln_1.weight')).toBe(1);
  });

  test('needs a prompt of known tokens, and predictions at each position, to continue a text', async () => {
    const backend = await open();
    const model = models['gpt-nano'];
    const parameters = backend.allocate(initialize(model, 1).length);
    const generation = createGeneration(backend, model, parameters);
    expect(() => generation.begin([])).toThrow('generation: expected a prompt of at least one token, got none');
    expect(() => generation.begin([1, 27])).toThrow('generation: expected a token from 0 to 26, got 27');
    const seesAll = modelOf('all', 4, [
      { type: 'embedding', tokens: 3, width: 2 },
      { type: 'attention', heads: 1, causal: false },
      { type: 'tiedOutput' },
    ]);
    expect(() => createGeneration(backend, seesAll, parameters)).toThrow('expected attention that is causal');
    const classes = resolveModel('gpt-nano', { sampleShape: [4], outputs: 2, tokens: 9 });
    expect(() => createGeneration(backend, classes, parameters)).toThrow(
      'generation: expected a model that predicts the next token at each position, got gpt-nano',
    );
  });
});

test('tokens are drawn with the probabilities of their scores, from the largest if topK says so', () => {
  const scores = Float32Array.of(0, 2, 1, 2);
  const count = (options: { temperature: number; topK?: number }): number[] => {
    const counts = [0, 0, 0, 0];
    for (let at = 0; at < 1000; at++) counts[sampleToken(scores, { ...options, random: () => (at + 0.5) / 1000 })]!++;
    return counts;
  };
  expect(count({ temperature: 0 })).toEqual([0, 1000, 0, 0]);
  // e^score of 1, e^2, e and e^2, divided by their sum.
  expect(count({ temperature: 1 })).toEqual([54, 399, 147, 400]);
  expect(count({ temperature: 2, topK: 2 })).toEqual([0, 500, 0, 500]);
  expect(count({ temperature: 1, topK: 1 })).toEqual([0, 1000, 0, 0]);
  expect(() => count({ temperature: -1 })).toThrow('sampleToken: expected a temperature of at least 0, got -1');
});

test('a character of several tokens is written once it is whole', () => {
  const bytes = new TextEncoder().encode('aé€🐋');
  let at = -1;
  const next = (): Float32Array => {
    at += 1;
    return Float32Array.from({ length: 256 }, (_, byte) => Number(byte === bytes[at]));
  };
  const continuation = { vocabulary: { kind: 'bytes' }, lines: false, prompt: [0], temperature: 0, seed: 1 } as const;
  const pieces = continueText({ begin: next, next, dispose() {} }, continuation);
  expect(Array.from(bytes, () => pieces.next().value)).toEqual(['a', '', 'é', '', '', '€', '', '', '', '🐋']);
});
