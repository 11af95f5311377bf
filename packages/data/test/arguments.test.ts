/** Every function that reads a person's data refuses wrong arguments in one sentence. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import * as data from '../src/index.ts';
import * as node from '../src/node.ts';
import * as readers from '../src/readers.ts';
import { askEvery } from './wrong-arguments.ts';

const dataset = () => readers.datasetFrom({ samples: [[1], [2], [3], [4]], labels: ['a', 'b', 'a', 'b'] });
const bytes = new TextEncoder().encode('x,label\n1,a\n2,b\n3,a\n4,b\n');
const lines = new TextEncoder().encode(
  '{"x":1,"label":"a"}\n{"x":2,"label":"b"}\n{"x":3,"label":"a"}\n{"x":4,"label":"b"}\n',
);
const table = readers.parseDelimited(bytes, 'x.csv');
const picture = readFileSync(new URL('../goldens/gray-6x4.png', import.meta.url));
const pictures = ['a/1.png', 'a/2.png', 'b/1.png', 'b/2.png'].map((path) => ({ path, read: async () => picture }));
const parquet = readFileSync(new URL('../goldens/iris-none.parquet', import.meta.url));
const decoder = await node.openSharpDecoder();
const indices = Uint32Array.of(0, 1);
const text = { name: 'x', vocabulary: { kind: 'words', tokens: ['a'] }, length: 2 };

describe('data', () => {
  askEvery(
    data,
    {
      checkDataset: [dataset(), 'x'],
      checkWhole: ['x', 1, 0, 2],
      classTargets: [Uint16Array.of(0), ['a', 'b']],
      concatDatasets: [dataset(), dataset()],
      decodeTokens: [{ kind: 'bytes' }, Uint8Array.of(65)],
      encodeText: [{ kind: 'bytes' }, 'a'],
      movableSamples: [dataset()],
      nextField: [1],
      nextTargets: [['a', 'b'], 1],
      permutation: [4, 1, 0],
      samplesOf: [Float32Array.of(1), [1]],
      scaledField: [[1]],
      tokenField: [2, 3],
      tokenNames: [{ kind: 'bytes' }],
      tokenSamples: [Uint8Array.of(0, 1), 2, 3],
      valueField: [[1]],
      valueTargets: [Float32Array.of(1), ['a']],
      vocabularySize: [{ kind: 'bytes' }],
      weightClasses: [dataset(), [1, 2]],
    },
    [
      // Called for each shard and message, with values that were checked when they came.
      ...['bytesOfField', 'bytesPerSample', 'fieldOf', 'gatherRows', 'gatherSamples', 'gatherValues'],
      ...['createAugmenter', 'moveSamples', 'numbersLike', 'sizeOfField', 'takeSamples'],
      // The checks themselves.
      ...['checkArguments', 'listArgument', 'objectWith'],
    ],
  );
});

describe('readers', () => {
  askEvery(
    readers,
    {
      datasetFrom: [{ samples: [[1], [2]], labels: ['a', 'b'] }],
      datasetFromJsonLines: [readers.parseJsonLines(lines, 'x.jsonl'), {}, undefined],
      datasetFromTable: [table, {}, undefined],
      datasetFromText: ['abcab', { context: 1 }],
      encodeFeatures: [table, [], indices],
      encodeRows: [[{ x: 1 }], [{ type: 'number', name: 'x', mean: 0, deviation: 1 }]],
      encodeRowTexts: [[{ x: 'a' }], text],
      encodeTexts: [table, text, indices],
      tableOf: [{ type: 'pictures' }],
      featureCount: [[]],
      foldDataset: [dataset(), { folds: 2, fold: 0 }],
      labelColumn: [table, undefined],
      parseDelimited: [bytes, 'x.csv', undefined],
      parseJsonLines: [lines, 'x.jsonl', undefined],
      parseParquet: [parquet, 'x.parquet', undefined],
      readPictures: [pictures, 'x', decoder, {}],
      splitDataset: [dataset(), {}],
    },
    // Functions for pictures need a page.
    // The others are asked as exports of data.
    ['datasetFromPictures', 'openPageDecoder', 'decodeTokens', 'encodeText'],
  );
});

test('splitDataset refuses options that it does not know', () => {
  const options = { testfraction: 0.5 } as readers.SplitOptions;
  const message = 'splitDataset: expected the options testFraction, seed, got testfraction';
  expect(() => readers.splitDataset(dataset(), options)).toThrow(new Error(message));
});

describe('node', () => {
  const file = fileURLToPath(new URL('../goldens/iris-none.parquet', import.meta.url));
  askEvery(
    node,
    {
      loadMnist: [undefined],
      openDataset: [file, {}],
      openDefaultText: [{ lines: true }],
      openRows: [file],
      readRows: [file],
    },
    ['openSharpDecoder'],
  );

  test('openDataset refuses options that it does not know', async () => {
    const options = { lable: 'species' } as node.OpenOptions;
    const error = await node.openDataset(file, options).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      name: 'Error',
      message: expect.stringMatching(/^openDataset: expected the options label, .*, got lable$/),
    });
  });
});
