import { classField, nextTargets, type TargetField } from '@lockstep/data';
import { type Backend, type HostBackend, randomStream } from '@lockstep/tensor';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  createMicrobatchGradient,
  createShardGradient,
  embeddingOf,
  outputCount,
  parseModel,
  predictsPositions,
  sampleSize,
} from '../src/index.ts';
import { backends, uploadInitial } from './backends.ts';

const activation = fc.constantFrom('relu', 'leakyRelu', 'gelu', 'sigmoid', 'tanh', 'softplus', 'softsign');
const rate = fc.constantFrom(0, 0.25, 0.5);

/** Dense layers with every activation, some of them after a dropout layer. */
const denseModel = fc
  .record({
    inputs: fc.integer({ min: 1, max: 60 }),
    hidden: fc.array(fc.record({ units: fc.integer({ min: 1, max: 40 }), activation, rate }), { maxLength: 2 }),
    classes: fc.integer({ min: 2, max: 20 }),
  })
  .map(({ inputs, hidden, classes }) => ({
    name: 'dense',
    input: [inputs],
    layers: [
      ...hidden.flatMap(({ units, activation: type, rate }) => [
        { type: 'dropout', rate },
        { type: 'dense', units },
        { type },
      ]),
      { type: 'dense', units: classes },
    ],
  }));

/** A convolution, pooling and a dense layer. */
const imageModel = fc
  .record({
    size: fc.integer({ min: 4, max: 9 }),
    channels: fc.integer({ min: 1, max: 3 }),
    filters: fc.integer({ min: 1, max: 9 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    padding: fc.integer({ min: 0, max: 1 }),
    pool: fc.constantFrom('maxPool2d', 'averagePool2d'),
    rate,
  })
  .map(({ size, channels, filters, kernel, padding, pool, rate }) => ({
    name: 'image',
    input: [size, size, channels],
    layers: [
      { type: 'conv2d', filters, kernel, padding },
      { type: 'relu' },
      { type: pool, window: 2 },
      { type: 'flatten' },
      { type: 'dropout', rate },
      { type: 'dense', units: 5 },
    ],
  }));

/** Tokens through the layers of sequences, with dropout, to a class or to the next token at each position. */
const textModel = fc
  .record({
    positions: fc.integer({ min: 1, max: 6 }),
    tokens: fc.integer({ min: 2, max: 12 }),
    width: fc.constantFrom(2, 4),
    body: fc.subarray(['attention', 'lstm', 'gru', 'dense'] as const, { minLength: 1 }),
    rate,
    isNext: fc.boolean(),
  })
  .map(({ positions, tokens, width, body, rate, isNext }) => {
    const layers = {
      attention: { type: 'residual', layers: [{ type: 'layerNorm' }, { type: 'attention', heads: 2, dropout: rate }] },
      lstm: { type: 'lstm', units: width },
      gru: { type: 'gru', units: width },
      dense: { type: 'dense', units: width },
    };
    const head = isNext ? [{ type: 'tiedOutput' }] : [{ type: 'meanPositions' }, { type: 'dense', units: 5 }];
    return {
      name: 'text',
      input: [positions],
      layers: [
        { type: 'embedding', tokens, width },
        { type: 'positions' },
        { type: 'dropout', rate },
        ...body.map((name) => layers[name]),
        ...head,
      ],
    };
  });

const problems = fc.record({
  model: fc.oneof(denseModel, imageModel).map(parseModel),
  isLines: fc.constant(false),
  microbatches: fc.integer({ min: 1, max: 16 }),
  microbatchSize: fc.integer({ min: 1, max: 12 }),
  density: fc.constantFrom(0, 0.1, 0.3, 1),
  seed: fc.nat(),
});

/** Smaller, as each position of a recurrent layer is a dozen calls. */
const textProblems = fc.record({
  model: textModel.map(parseModel),
  isLines: fc.boolean(),
  microbatches: fc.integer({ min: 1, max: 5 }),
  microbatchSize: fc.integer({ min: 1, max: 3 }),
  density: fc.constantFrom(0.5, 1),
  seed: fc.nat(),
});

describe.each(backends)('a shard of microbatches on $name', ({ name, open }) => {
  let backend: HostBackend;
  beforeAll(async () => {
    backend = await open();
  });

  const runs = name === 'cpu' ? 120 : 40;
  test.each([
    ['', problems, runs],
    [' of text', textProblems, runs / 4],
  ] as const)('has the bits of its microbatches%s, one by one, added by the tree', (_, given, numRuns) => {
    fc.assert(
      fc.property(given, ({ model, isLines, microbatches, microbatchSize, density, seed }) => {
        const random = randomStream(seed);
        const parameters = uploadInitial(backend, model, seed);
        const isNext = predictsPositions(model);
        const field: TargetField = isNext ? nextTargets([], 1.5, isLines) : classField;
        const [samples, size] = [microbatches * microbatchSize, sampleSize(model, field)];
        const limit = embeddingOf(model)?.tokens ?? 256;
        const pixels = Uint8Array.from({ length: samples * size }, () => (random() < density ? random() * limit : 0));
        const labels = Uint16Array.from({ length: isNext ? 0 : samples }, () => random() * outputCount(model));
        const key = { seed: seed % 1000, step: 3, firstSample: 40 };

        const microbatch = createMicrobatchGradient(backend, model, microbatchSize, parameters, { targetField: field });
        const microbatchSum = (index: number): Float32Array => {
          const [from, to] = [index * microbatchSize, (index + 1) * microbatchSize];
          const firstSample = key.firstSample + from;
          microbatch.run(pixels.subarray(from * size, to * size), labels.subarray(from, to), { ...key, firstSample });
          return backend.view(microbatch.output).slice();
        };
        const nodeSum = (lo: number, n: number): Float32Array => {
          if (n === 1) return microbatchSum(lo);
          const left = nodeSum(lo, n / 2);
          if (lo + n / 2 >= microbatches) return left;
          const right = nodeSum(lo + n / 2, n / 2);
          return left.map((value, index) => value + right[index]!);
        };

        const shard = createShardGradient(backend, model, { microbatches, microbatchSize }, parameters, {
          targetField: field,
        });
        shard.run(pixels, labels, key);
        const bits = (values: Float32Array) => new Uint32Array(values.slice().buffer);
        expect(bits(backend.view(shard.output))).toEqual(bits(nodeSum(0, 16)));
        shard.dispose();
        microbatch.dispose();
        backend.free(parameters);
      }),
      { numRuns, seed: 11 },
    );
  });

  test('needs a backend that sums per microbatch', () => {
    const model = parseModel({ name: 'one', input: [2], layers: [{ type: 'dense', units: 2 }] });
    const plain: Backend = Object.create(backend, { microbatchSums: { value: false }, name: { value: 'plain' } });
    expect(() =>
      createShardGradient(plain, model, { microbatches: 2, microbatchSize: 2 }, uploadInitial(backend, model, 1)),
    ).toThrow('shard: the backend plain computes one microbatch at a time');
  });
});
