import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { classField, nextField, scaledField, tokenField, tokenNames, valueField } from '@lockstep/data';
import type { Reading } from '@lockstep/data/readers';
import { describe, expect, test } from 'vitest';
import { folderOf } from '../../data/test/temporary-folder.ts';
import {
  describeModel,
  initialize,
  type Model,
  parseDescription,
  parseModel,
  readSafetensors,
  resolveModel,
  writeModelFile,
} from '../src/index.ts';

const model = parseModel({
  name: 'small',
  input: [6],
  layers: [
    { type: 'dense', units: 4, init: 'kaiming' },
    { type: 'relu' },
    { type: 'dropout', rate: 0.5 },
    { type: 'dense', units: 2 },
  ],
});
const targets = { ...classField, names: ['Katze', 'Hünd "x"'] };
const description = { samples: scaledField([2, 3, 1]), targets };
const origin = { lockstep: '0.1.0', seed: 7, steps: 20, weightsSha256: 'ab'.repeat(32), initSha256: 'cd'.repeat(32) };
const bytes = writeModelFile(model, initialize(model, 7), describeModel(description, origin));
const { metadata } = readSafetensors(bytes);

describe('a model file', () => {
  test('says what its model is, how samples are scaled, and where the weights come from', () => {
    expect(parseDescription(metadata)).toEqual({ model, ...description });
    const { classes: _, sampleShape: __, scaling: ___, model: ____, ...rest } = metadata;
    expect(rest).toEqual({ format: 'pt', ...origin, seed: '7', steps: '20' });
  });

  test('of values that were learned from floats has the names of both', () => {
    const own = { samples: valueField([6]), targets: { ...valueField([2]), names: ['width', 'height'] } };
    const file = writeModelFile(model, initialize(model, 7), describeModel(own, origin));
    expect(parseDescription(readSafetensors(file).metadata)).toEqual({ model, ...own });
  });

  test.each<[what: string, Reading | undefined, lines?: true]>([
    ['characters', { type: 'text', vocabulary: { kind: 'characters', tokens: ['\n', 'a', '"'] } }],
    ['lines', { type: 'text', vocabulary: { kind: 'characters', tokens: ['\n', 'a', '😀'] }, lines: true }, true],
    [
      'byte pairs',
      {
        type: 'text',
        vocabulary: {
          kind: 'merges',
          merges: [
            [97, 98],
            [256, 0],
          ],
        },
      },
    ],
    ['bytes', { type: 'text', vocabulary: { kind: 'bytes' } }],
    ['tokens that no vocabulary names', undefined],
  ])('of text keeps its tokens: %s', (_, reading, lines) => {
    const names = reading?.type === 'text' ? tokenNames(reading.vocabulary) : ['a', 'b'];
    const fit = { sampleShape: [8], outputs: names.length, tokens: names.length, predictsNext: true };
    const writer = resolveModel('gpt-nano', fit);
    const next = { ...nextField(lines ? 5.5 : 8, lines), names };
    const own = { samples: tokenField(9, names.length), targets: next, ...(reading && { reading }) };
    const file = writeModelFile(writer, initialize(writer, 7), describeModel(own, origin));
    expect(parseDescription(readSafetensors(file).metadata)).toEqual({ model: writer, ...own });
  });

  test.each<Reading>([
    {
      type: 'rows',
      columns: [
        { type: 'number', name: 'age', mean: 0.1 + 0.2, deviation: 1e-3 },
        { type: 'category', name: 'color', categories: ['blue', 'red', 'rot "x"', '', 'é'] },
      ],
    },
    { type: 'pictures', fit: 'contain' },
  ])('keeps how a file becomes a sample: %j', (reading) => {
    const own = { ...description, reading };
    const file = writeModelFile(model, initialize(model, 7), describeModel(own, origin));
    expect(parseDescription(readSafetensors(file).metadata)).toEqual({ model, ...own });
  });

  test('of before is read: its classes are numbered, its samples have the shape of the input', () => {
    const old = { format: 'pt', model: JSON.stringify(model) };
    const numbered = { ...classField, names: ['0', '1'] };
    const expected = { model, samples: scaledField([6]), targets: numbered };
    expect(parseDescription(old)).toEqual(expected);
    expect(parseDescription({}, model)).toEqual(expected);
  });

  test.each<[string, Record<string, string>, string]>([
    ['no layers', {}, 'model file: expected its layer list in the metadata, got none: give the model as well'],
    ['no JSON', { model: '{' }, 'model file: model: expected JSON in the metadata, got a text that cannot be read'],
    ['no model', { model: '[]' }, 'name: expected a value, got none'],
    [
      'too few names',
      { ...metadata, classes: '["a"]' },
      'model file: classes: expected 2 names, one for each output, got 1',
    ],
    ['no names', { ...metadata, classes: '[1,2]' }, 'model file: classes: [0]: expected a name, got 1'],
    [
      'another shape',
      { ...metadata, sampleShape: '[28,28]' },
      'model file: sampleShape: expected 6 values, the input of the model, got [28, 28]',
    ],
    [
      'another scaling',
      { ...metadata, scaling: '{"type":"log"}' },
      'model file: scaling: type: expected one of byte, none, token, got "log"',
    ],
    [
      'columns of other values than the model takes',
      { ...metadata, reading: '{"type":"rows","columns":[{"type":"number","name":"a","mean":0,"deviation":1}]}' },
      'model file: reading: expected columns of 6 values, the input of the model, got 1',
    ],
    [
      'a deviation of 0',
      { ...metadata, reading: '{"type":"rows","columns":[{"type":"number","name":"a","mean":0,"deviation":0}]}' },
      'model file: reading: columns[0].deviation: expected a number above 0, got 0',
    ],
  ])('with %s is refused in one sentence', (_, changed, message) => {
    expect(() => parseDescription(changed)).toThrow(new Error(message));
  });

  test('of other layers than the given ones is refused', () => {
    const message = 'model file: expected an input of [784], got [6]';
    expect(() => parseDescription(metadata, resolveModel('mlp'))).toThrow(new Error(message));
  });
});

describe('the given model of a file with layers', () => {
  const changed = (layers: readonly unknown[]): Model => parseModel({ ...model, name: 'other', layers });
  const [dense, relu, dropout, last] = model.layers;

  test('does not mind names, initializers and rates of dropout', () => {
    const other = changed([{ type: 'dense', units: 4 }, relu, { type: 'dropout', rate: 0.1 }, last]);
    expect(parseDescription(metadata, other).model).toEqual(model);
  });

  test.each<[readonly unknown[], string]>([
    [[dense, { type: 'gelu' }, dropout, last], 'expected layers[1] {"type":"relu"}, got {"type":"gelu"}'],
    [[dense, relu, last], 'expected layers[2] {"type":"dropout"}, got {"type":"dense","units":2}'],
    [[...model.layers, { type: 'tanh' }], 'expected layers[4] none, got {"type":"tanh"}'],
  ])('names the first layer that differs', (layers, message) => {
    const file = { model: JSON.stringify(changed(layers)) };
    expect(() => parseDescription(file, model)).toThrow(new Error(`model file: ${message}`));
  });

  const nano = (context: number, tokens: number, name = 'gpt-nano'): Model =>
    resolveModel(name, { sampleShape: [context], outputs: tokens, tokens, predictsNext: true });

  test.each<[Model, string]>([
    [nano(16, 30), 'expected a vocabulary of 27 tokens, got 30'],
    [nano(8, 27), 'expected a context of 16 tokens, got 8'],
    [
      nano(16, 27, 'names'),
      'expected layers[0] {"type":"embedding","tokens":27,"width":16}, got {"type":"embedding","tokens":27,"width":64}',
    ],
  ])('says how a text differs: %#', (other, message) => {
    const file = { model: JSON.stringify(other) };
    expect(() => parseDescription(file, nano(16, 27))).toThrow(new Error(`model file: ${message}`));
  });
});

const python = (...args: string[]) => spawnSync('python3', args, { encoding: 'utf8' });
const hasPackage = python('-c', 'import safetensors, numpy').status === 0;

describe.skipIf(!hasPackage)(
  `Python's safetensors${hasPackage ? '' : ' (skipped: python3 has no package safetensors)'}`,
  () => {
    test('reads what a file says of itself, and its tensors', () => {
      const folder = folderOf({ 'model.safetensors': bytes });
      const script = [
        'import json, sys, safetensors',
        'with safetensors.safe_open(sys.argv[1], framework="numpy") as file:',
        '    shapes = {name: list(file.get_tensor(name).shape) for name in file.keys()}',
        '    print(json.dumps([file.metadata(), shapes]))',
      ].join('\n');
      const { stdout, stderr } = python('-c', script, join(folder, 'model.safetensors'));
      expect(stderr).toBe('');
      const shapes = { '0.weight': [4, 6], '0.bias': [4], '3.weight': [2, 4], '3.bias': [2] };
      expect(JSON.parse(stdout)).toEqual([metadata, shapes]);
    });
  },
);
