import { describe, expect, test } from 'vitest';
import {
  builtInModels,
  everyLayer,
  initialize,
  inputSize,
  layers,
  type Model,
  outputCount,
  parameterCount,
  parameterLayout,
  parseModel,
  resolveModel,
  summary,
} from '../src/index.ts';

/** All layer names, as listed in an error. */
const layerNames = Object.keys(layers).join(', ');

/** Returns the shapes of one sample: before the first layer, and after each. */
function shapesOf(model: Model) {
  return [model.input, ...everyLayer(model).map(({ output }) => output)];
}

const tiny = {
  name: 'tiny',
  input: [4],
  layers: [{ type: 'dense', units: 3 }, { type: 'relu' }, { type: 'dense', units: 2 }],
};

describe('built-in models', () => {
  test('mlp is 784-128-10 with 101,770 parameters, in the order and with the names of torch.nn.Sequential', () => {
    const model = resolveModel('mlp');
    expect(shapesOf(model)).toEqual([[784], [128], [128], [10]]);
    expect(inputSize(model)).toBe(784);
    expect(outputCount(model)).toBe(10);
    expect(parameterCount(model)).toBe(101_770);
    expect(parameterLayout(model).map(({ name, shape, offset, size }) => ({ name, shape, offset, size }))).toEqual([
      { name: '0.weight', shape: [784, 128], offset: 0, size: 100_352 },
      { name: '0.bias', shape: [128], offset: 100_352, size: 128 },
      { name: '2.weight', shape: [128, 10], offset: 100_480, size: 1280 },
      { name: '2.bias', shape: [10], offset: 101_760, size: 10 },
    ]);
  });

  test('each is a valid model and survives JSON', () => {
    for (const name of builtInModels) {
      const model = resolveModel(name);
      expect(resolveModel(JSON.stringify(model))).toEqual(model);
    }
  });

  test.each([
    ['mlp', [28, 28, 1], 10, [[784], [128], [128], [10]]],
    ['mlp', [4], 3, [[4], [128], [128], [3]]],
    ['mlp', [4], 1, [[4], [128], [128], [1]]],
    ['mlp', [32, 32, 3], 10, [[32, 32, 3], [3072], [128], [128], [10]]],
    [
      'cnn',
      [32, 32, 3],
      7,
      [[32, 32, 3], [32, 32, 8], [32, 32, 8], [16, 16, 8], [16, 16, 16], [16, 16, 16], [8, 8, 16], [1024], [7]],
    ],
    [
      'cnn-large',
      [28, 28, 1],
      10,
      [
        [28, 28, 1],
        ...[
          [28, 28, 16],
          [28, 28, 16],
          [14, 14, 16],
        ],
        ...[
          [14, 14, 32],
          [14, 14, 32],
          [7, 7, 32],
        ],
        ...[
          [7, 7, 64],
          [7, 7, 64],
          [3, 3, 64],
        ],
        ...[[576], [576], [10]],
      ],
    ],
  ])('%s fits itself to samples of %j and %i outputs', (name, sampleShape, outputs, shapes) => {
    expect(shapesOf(resolveModel(name, { sampleShape, outputs }))).toEqual(shapes);
  });

  test('one that cannot take the samples says so', () => {
    expect(() => resolveModel('cnn', { sampleShape: [4], outputs: 3 })).toThrow(
      'expected samples of [height, width, channels], got [4]',
    );
    expect(() => resolveModel('cnn', { sampleShape: [3, 3, 1], outputs: 3 })).toThrow(/^layers\[5\] \(maxPool2d\): /);
  });

  test('a layer list is taken as it is', () => {
    expect(resolveModel(JSON.stringify(tiny), { sampleShape: [32, 32, 3], outputs: 7 })).toEqual(tiny);
  });

  test('an unknown name is refused with a list of the known ones', () => {
    expect(() => resolveModel('mpl')).toThrow(
      'expected mlp, cnn, cnn-large, gpt, gpt-nano, names, or JSON with a list of layers, got "mpl"',
    );
  });

  test.each([
    ['a list', JSON.stringify(tiny.layers), 'a list: make it the value of "layers"'],
    ['a number', '7\n', '7'],
    ['a name', '"mlp"', '"mlp"'],
  ])('%s in a file is refused, and the object that holds the layers is described', (_, json, got) => {
    const message = `expected a JSON object with name, input and layers, got ${got}`;
    expect(() => resolveModel(json)).toThrow(new Error(message));
  });

  test('text that is not JSON is refused in one sentence', () => {
    expect(() => resolveModel('{"name": ')).toThrow(/^cannot be read as JSON: .*$/);
  });
});

describe('models as plain data', () => {
  test('a valid one stays as it is', () => {
    expect(parseModel(structuredClone(tiny))).toEqual(tiny);
    expect(parameterCount(parseModel(tiny))).toBe(4 * 3 + 3 + 3 * 2 + 2);
  });

  const dense = (units: unknown) => ({ ...tiny, layers: [{ type: 'dense', units }] });
  test.each<[string, unknown, string]>([
    ['null', null, 'expected an object, got null'],
    ['no layers entry', { name: 'a', input: [4] }, 'layers: expected a value, got none'],
    ['no layers', { ...tiny, layers: [] }, 'layers: expected a list of 1 to 256 layers, got a list of 0'],
    ['an unknown entry', { ...tiny, code: 'x' }, 'code: unknown entry'],
    ['an unknown setting', { ...tiny, layers: [{ type: 'relu', slope: 1 }] }, 'layers[0].slope: unknown entry'],
    [
      'an unknown layer',
      { ...tiny, layers: [{ type: 'conv' }] },
      `layers[0].type: expected one of ${layerNames}, got "conv"`,
    ],
    ['no units', dense(undefined), 'layers[0].units: expected a whole number from 1 to 65536, got nothing'],
    ['half a unit', dense(1.5), 'layers[0].units: expected a whole number from 1 to 65536, got 1.5'],
    ['units as text', dense('10'), 'layers[0].units: expected a whole number from 1 to 65536, got "10"'],
    ['too many units', dense(65_537), 'layers[0].units: expected a whole number from 1 to 65536, got 65537'],
    ['a size of 0', { ...tiny, input: [0] }, 'input[0]: expected a whole number from 1 to 65536, got 0'],
    ['no axes', { ...tiny, input: [] }, 'input: expected a list of 1 to 4 sizes, got a list of 0'],
    [
      'a name with a line break',
      { ...tiny, name: 'a\nb' },
      'name: expected 1 to 64 letters, digits, spaces, dots, dashes or underscores, got "a\\nb"',
    ],
    [
      'an image into a dense layer',
      { ...tiny, input: [28, 28, 1] },
      'layers[0] (dense): expected a sample of one or two axes, got [28, 28, 1]; flatten an image first',
    ],
    [
      'an image as result',
      { ...tiny, input: [28, 28], layers: [{ type: 'relu' }] },
      'expected the last layer to give one row of outputs, got [28, 28]',
    ],
    [
      'a dense layer on the last of two axes as result',
      { ...tiny, input: [28, 28] },
      'expected the last layer to give one row of outputs, got [28, 2]',
    ],
    [
      'more parameters than the limit',
      { ...tiny, input: [65_536], layers: [{ type: 'dense', units: 65_536 }] },
      'expected at most 268435456 parameters, got 4295032832',
    ],
  ])('%s', (_, data, message) => {
    expect(() => parseModel(data)).toThrow(new Error(message));
  });
});

describe('initial parameters', () => {
  const model = resolveModel('mlp');

  test.each([-1, 0.5, 2 ** 32, Number.NaN])('refuses the seed %s', (seed) => {
    expect(() => initialize(model, seed)).toThrow(`seed: expected a whole number from 0 to 4294967295, got ${seed}`);
  });
});

test('a summary has one line for each layer', () => {
  expect(summary(resolveModel('mlp')).split('\n')).toEqual([
    'Model: mlp',
    '─'.repeat(35),
    'layer     output shape   parameters',
    '═'.repeat(35),
    'input     [784]',
    '0 dense   [128]             100,480',
    '1 relu    [128]                   0',
    '2 dense   [10]                1,290',
    '─'.repeat(35),
    'Total: 101,770 parameters (407 KB)',
  ]);
});

test('the counts of the layers add up to the total', () => {
  const model = parseModel({
    name: 'wide',
    input: [2, 3, 2],
    layers: [
      { type: 'flatten' },
      { type: 'dense', units: 1000 },
      { type: 'dropout', rate: 0.5 },
      { type: 'dense', units: 2000 },
    ],
  });
  const lines = summary(model).split('\n');
  const counts = lines.slice(5, -2).map((line) => Number(line.trim().split(/\s+/).at(-1)!.replaceAll(',', '')));
  expect(counts).toEqual([0, 13_000, 0, 2_002_000]);
  expect(lines.at(-1)).toBe('Total: 2,015,000 parameters (8.06 MB)');
});
