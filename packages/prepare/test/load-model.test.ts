/** A loaded model predicts according to its weights, and other files are refused in one sentence. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  classField,
  classTargets,
  type Dataset,
  samplesOf,
  scaledField,
  valueField,
  valueTargets,
} from '@lockstep/data';
import {
  createEvaluator,
  createPrediction,
  describeModel,
  initialize,
  numberedClasses,
  parameterCount,
  parseModel,
  readSafetensors,
  resolveModel,
  writeModelFile,
  writeSafetensors,
} from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { sha256 } from '@lockstep/record/node';
import { openBackend, randomStream } from '@lockstep/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeCheckpoint } from '../../record/src/checkpoint.ts';
import { sampleCheckpoint } from '../../record/test/sample-checkpoint.ts';
import { type LoadedModel, loadModel } from '../../train/src/index.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { readInitialWeights, transferWeights } from '../src/model.ts';

const model = resolveModel('cnn');
const weights = initialize(model, 3);
const weightsSha256 = sha256(bytesOf(weights));
const classes = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const origin = { lockstep: '0.1.0', seed: 3, steps: 0, weightsSha256 };
const metadata = describeModel(
  { samples: scaledField([28, 28, 1]), targets: { ...classField, names: classes } },
  origin,
);
const file = writeModelFile(model, weights, metadata);
const plain = writeSafetensors({ tensors: [], metadata: {} });

const random = randomStream(1);
const count = 300;
const images = Uint8Array.from({ length: count * 784 }, () => random() * 256);
const labels = Uint16Array.from({ length: count }, (_, index) => index % 10);
const data = { samples: samplesOf(images, [28, 28, 1]), count, targets: classTargets(labels, []) };
const folder = temporaryFolder();

describe('a loaded model', () => {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await loadModel(file);
  });
  afterAll(() => loaded.dispose());

  it('gives class, probability and scores of each sample, with the bits of the engine', async () => {
    expect(loaded).toMatchObject({ architecture: model, classes, samples: scaledField([28, 28, 1]), weightsSha256 });
    const predictions = await loaded.predict(images);
    expect(predictions).toHaveLength(count);
    const { backend } = await openBackend('auto');
    const parameters = backend.allocate(parameterCount(model));
    backend.upload(parameters, weights);
    // A sample has the same bits alone as among others.
    const [alone] = await loaded.predict(images.subarray(784 * 299));
    expect(predictions.at(-1)).toEqual(alone);
    expect(await loaded.predict(new Uint8Array())).toEqual([]);
    const plan = createPrediction(backend, model, count, parameters);
    plan.run(images);
    const scores = backend.view(plan.output);
    for (const [sample, prediction] of predictions.entries()) {
      const own = scores.slice(sample * 10, (sample + 1) * 10);
      expect(prediction.scores).toEqual(own);
      expect(prediction.index).toBe(own.indexOf(Math.max(...own)));
      expect(prediction.class).toBe(classes[prediction.index]);
      expect(prediction.probability).toBe(Math.max(...prediction.probabilities));
      expect(prediction.probabilities.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
    }
  });

  it('evaluates as a run does, and counts every error', async () => {
    const { confusion, topErrors, metrics, ...measured } = await loaded.evaluate(data);
    const { backend } = await openBackend('auto');
    const evaluation = await createEvaluator(backend, model, data).evaluate(weights, async () => {});
    expect(measured).toEqual(evaluation);
    expect(metrics).toMatchObject({
      accuracy: measured.accuracy,
      classes: confusion!.map((row, at) => ({
        name: classes[at],
        support: row.reduce((sum, samples) => sum + samples),
      })),
    });
    expect(confusion!.flat().reduce((sum, samples) => sum + samples, 0)).toBe(count);
    expect(confusion!.reduce((sum, row, label) => sum + row[label]!, 0)).toBe(Math.round(measured.accuracy! * count));
    const [worst] = topErrors;
    const prediction = (await loaded.predict(images))[worst!.index]!;
    expect(worst).toMatchObject({ label: labels[worst!.index], predicted: prediction.index });
    expect(worst!.probability).toBeCloseTo(prediction.probability, 12);
  });

  it('refuses samples and labels that do not fit', async () => {
    await expect(loaded.predict(new Uint8Array(785))).rejects.toThrow(
      new Error('predict: expected samples of 784 values each, got 785 values'),
    );
    const classesOf = (given: Uint16Array, names: string[] = []) => ({ targets: classTargets(given, names) });
    const refusals: [Partial<Dataset>, string][] = [
      [{ count: 299 }, 'expected 299 samples of 784 values, got 235200 values'],
      [classesOf(labels.slice(1)), 'expected 300 targets, 1 per sample, got 299'],
      [classesOf(labels.slice().fill(10)), "expected labels below 10, the model's classes, got 10"],
      [
        classesOf(labels, ['0', 'two', 'one']),
        'expected "two" to be class 2, as in the model, got class 1: use the classes of the model',
      ],
      [
        { targets: valueTargets(new Float32Array(3000), []) },
        'expected classes as targets, as the model predicts them, got values',
      ],
      [
        { samples: samplesOf(Float32Array.from(images), [28, 28, 1]) },
        'expected samples in a Uint8Array, as in training, got a Float32Array',
      ],
    ];
    for (const [part, message] of refusals) {
      await expect(loaded.evaluate({ ...data, ...part })).rejects.toThrow(new Error(`evaluate: ${message}`));
    }
    await expect(loaded.predictValues(images)).rejects.toThrow(
      'predictValues: expected a regression model, got a classifier: use predict',
    );
  });

  it('is not used once it was disposed of', async () => {
    const other = await loadModel(file);
    await other.predict(images.subarray(784));
    other.dispose();
    other.dispose();
    await expect(other.predict(images)).rejects.toThrow(/one that was disposed$/);
    await expect(other.evaluate(data)).rejects.toThrow(/one that was disposed$/);
  });
});

describe('a loaded model of values', () => {
  const linear = parseModel({ name: 'linear', input: [2], layers: [{ type: 'dense', units: 2 }] });
  // [2 inputs, 2 outputs], then the bias: width = x + 3 y, height = 2 x + 1.
  const own = Float32Array.of(1, 2, 3, 0, 0, 1);
  const about = {
    samples: valueField([2]),
    targets: { ...valueField([2]), names: ['width', 'height'] },
  };
  const bytes = writeModelFile(linear, own, describeModel(about, { ...origin, weightsSha256: sha256(bytesOf(own)) }));
  const samples = Float32Array.of(1, 2, -1, 0.5);

  it('gives its values, with their names', async () => {
    const model2 = await loadModel(bytes);
    expect(model2).toMatchObject({ values: ['width', 'height'], classes: [], samples: valueField([2]) });
    expect((await model2.predictValues(samples)).map((values) => [...values])).toEqual([
      [7, 3],
      [0.5, -1],
    ]);
    await expect(model2.predict(samples)).rejects.toThrow(
      'predict: expected a classifier, got a regression model: use predictValues',
    );
    await expect(model2.predictValues(new Uint8Array(2))).rejects.toThrow(
      'predictValues: expected samples in a Float32Array, as in training, got a Uint8Array',
    );
    model2.dispose();
  });

  it('is measured by its squared errors', async () => {
    const model2 = await loadModel(bytes);
    const targets = valueTargets(Float32Array.of(8, 3, 0.5, 1), about.targets.names);
    // Errors -1, 0, 0, -2; the targets are 3.75, 1, 3.75 and 1 from their means.
    const { loss, accuracy, r2, confusion } = await model2.evaluate({
      samples: samplesOf(samples, [2]),
      count: 2,
      targets,
    });
    expect({ loss, accuracy, confusion }).toEqual({ loss: 1.25, accuracy: null, confusion: null });
    expect(r2).toBeCloseTo(1 - 1.25 / ((3.75 ** 2 + 1) / 2), 12);
    model2.dispose();
  });
});

describe('loadModel', () => {
  it('reads a file by its name, and names one that is no model', async () => {
    const path = join(folder, 'model.safetensors');
    writeFileSync(path, file);
    const loaded = await loadModel(path);
    expect(loaded.weightsSha256).toBe(weightsSha256);
    loaded.dispose();
    writeFileSync(path, file.subarray(0, 100));
    await expect(loadModel(path)).rejects.toThrow(`${path}: safetensors: the header claims`);
    await expect(loadModel(3 as never)).rejects.toThrow('loadModel: expected a path or bytes, got 3');
    await expect(loadModel(join(folder, 'none'))).rejects.toThrow(/none: no such file or folder$/);
  });

  it('takes the layers of a file that has none from its caller, and no others', async () => {
    const bare = writeSafetensors({ tensors: readSafetensors(file).tensors, metadata: { format: 'pt' } });
    const loaded = await loadModel(bare, { model });
    expect(loaded.classes).toEqual(numberedClasses(10));
    expect(loaded.weightsSha256).toBe(weightsSha256);
    loaded.dispose();
    await expect(loadModel(bare)).rejects.toThrow(
      'model file: expected its layer list in the metadata, got none: give the model as well',
    );
    await expect(loadModel(plain, { model })).rejects.toThrow('model cnn: the file lacks 0.weight');
    await expect(loadModel(file, { model: resolveModel('mlp') })).rejects.toThrow(
      'model file: expected an input of [784], got [28, 28, 1]',
    );
  });

  it('refuses weights that are not those that the file names, and a checkpoint', async () => {
    const changed = file.slice();
    changed[changed.length - 1]! ^= 1;
    await expect(loadModel(changed)).rejects.toThrow(
      /^model file: expected weights with SHA-256 .*: the file was changed$/,
    );
    await expect(loadModel(await encodeCheckpoint(sampleCheckpoint, sha256))).rejects.toThrow(
      'expected a model file from --save, got a checkpoint: resume its run with --save to get one',
    );
  });
});

describe('initial weights for a text', () => {
  const model = resolveModel('gpt-nano', { sampleShape: [16], outputs: 3, tokens: 3, predictsNext: true });
  const readingOf = (tokens: string) =>
    ({ type: 'text', vocabulary: { kind: 'characters', tokens: [...tokens] } }) as const;
  const file = writeModelFile(model, initialize(model, 1), { reading: JSON.stringify(readingOf('abc')) });

  it('are taken if its characters have the same numbers', () => {
    expect(readInitialWeights(file, model, readingOf('abc')).weights).toEqual(initialize(model, 1));
  });

  it('are refused if not', () => {
    expect(() => readInitialWeights(file, model, readingOf('abd'))).toThrow(
      /: expected a model whose token 2 is "d", as in the text, got "c"$/,
    );
  });

  it('are transferred but for the embedding of other characters', () => {
    const [own, drawn] = [initialize(model, 1), initialize(model, 2)];
    const size = 3 * 16;
    const other = transferWeights(file, model, 2, readingOf('abd'));
    expect(other.transfer.drawn).toEqual(['0 embedding']);
    expect(other.weights).toEqual(Float32Array.of(...drawn.subarray(0, size), ...own.subarray(size)));
    const alike = transferWeights(file, model, 2, readingOf('abc'));
    expect([alike.weights, alike.transfer.drawn]).toEqual([own, []]);
  });
});
