/** onnxruntime's outputs for files that were written here equal ours: raw rows of tables, and pictures. */
import { readFileSync } from 'node:fs';
import { classField, type SampleValues, type Standardization, scaledField, valueField } from '@lockstep/data';
import { encodeRows, type FeatureColumn, type Reading, type TableRow } from '@lockstep/data/readers';
import {
  createPrediction,
  describeModel,
  initialize,
  inputSize,
  type Model,
  type ModelDescription,
  parseModel,
  restoreValues,
} from '@lockstep/nn';
import { openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { writeOnnx } from '../src/write-onnx.ts';
import { models } from './models.ts';

interface Golden {
  readonly rows?: readonly TableRow[];
  readonly images?: readonly number[];
  readonly outputs: readonly number[];
}

const goldens: Readonly<Record<string, Golden>> = JSON.parse(
  readFileSync(new URL('../goldens/outputs.json', import.meta.url), 'utf8'),
);

const number = (name: string, mean: number, deviation: number, missing?: number): FeatureColumn => ({
  type: 'number',
  name,
  mean,
  deviation,
  missing,
});
const category = (name: string, categories: readonly string[], missing?: string): FeatureColumn => ({
  type: 'category',
  name,
  categories,
  missing,
});

function tableModel(name: string, columns: readonly FeatureColumn[], outputs: number): [Model, Reading] {
  const size = columns.reduce((sum, column) => sum + (column.type === 'number' ? 1 : column.categories.length), 0);
  const layers = [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: outputs }];
  return [parseModel({ name, input: [size], layers }), { type: 'rows', columns }];
}

type Described = Pick<ModelDescription, 'samples' | 'targets'>;

function tableOf(name: string, columns: readonly FeatureColumn[], targets: Described['targets']) {
  const [model, reading] = tableModel(name, columns, targets.names.length);
  return { model, samples: valueField(model.input), targets, reading };
}

const price: Standardization = { mean: 250_000, deviation: 80_000 };
const image = models.find(({ name }) => name === 'image')!;

/** Together: names that the graph uses itself, columns of either kind first and last, with and without a fill. */
const cases: readonly (ModelDescription & { readonly model: Model })[] = [
  tableOf(
    'classes',
    [
      number('logits', 10, 2.5, 11),
      number('größe "m²", ein\nWort', -1e6, 12_345.678, 0.1),
      category('0.weight', ['blue', 'red', '?', 'a, "b"'], 'red'),
      number('rows.5.IsNaN', 2019, 0.001),
      category(' ', ['no', 'yes']),
    ],
    { ...classField, names: ['u', 'v', 'w'] },
  ),
  tableOf(
    'prices',
    [category('values', ['A', 'B'], 'B'), number('area', 95.5, 31, 90), number('constant.80000', 3, 1.5)],
    { ...valueField([1]), names: ['price'], standardization: price },
  ),
  tableOf('one-number', [number('x', 1, 2)], { ...valueField([2]), names: ['y', 'z'] }),
  tableOf('one-category', [category('x', ['a', 'b', 'c'])], { ...classField, names: ['u', 'v'] }),
  { model: image, samples: scaledField(image.input), targets: { ...classField, names: [...'abcdefghijklmnopqr'] } },
];

async function outputsOf(description: ModelDescription, values: SampleValues): Promise<Float32Array> {
  const { model, targets } = description;
  const { backend } = await openBackend('cpu');
  const weights = initialize(model, 3);
  const parameters = backend.allocate(weights.length);
  backend.upload(parameters, weights);
  const plan = createPrediction(backend, model, values.length / inputSize(model), parameters);
  plan.run(values);
  return restoreValues(await backend.download(plan.output), targets.standardization);
}

const origin = { lockstep: '0.1.0', seed: 3, steps: 0, weightsSha256: '' };

describe.each(cases)('$model.name', (description) => {
  const { model, reading } = description;
  const file = writeOnnx(model, initialize(model, 3), describeModel(description, origin));

  it('is the file that onnxruntime ran (if not, run vitest with --update, then goldens/make_goldens.py)', async () => {
    const lines = Buffer.from(file)
      .toString('base64')
      .replaceAll(/.{1,100}/g, '$&\n');
    await expect(lines).toMatchFileSnapshot(`../goldens/${model.name}.onnx.base64`);
  });

  it('has the outputs that onnxruntime gave, within 1e-5 of the largest', async () => {
    const { rows, images, outputs } = goldens[model.name]!;
    const values = reading?.type === 'rows' ? encodeRows(rows!, reading.columns) : Uint8Array.from(images!);
    const ours = await outputsOf(description, values);
    expect(ours).toHaveLength(outputs.length);
    const largest = Math.max(...outputs.map(Math.abs));
    expect(Math.max(...ours.map((value, at) => Math.abs(value - outputs[at]!)))).toBeLessThan(1e-5 * largest);
  });
});
