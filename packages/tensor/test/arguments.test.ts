/** Every public function rejects a wrong argument with a sentence that names it, never with an internal TypeError. */
import { describe, expect, it, vi } from 'vitest';
import { shown } from '../src/arguments.ts';
import * as tensor from '../src/index.ts';
import { openAll } from './support.ts';

const backend = (await openAll())[1]!;
const { fromArray } = tensor;

/** An object that no template literal can format. */
const bare = Object.assign(Object.create(null), { unknown: 1 });

const wrong = {
  missing: undefined,
  null: null,
  text: 'x',
  true: true,
  NaN: Number.NaN,
  negative: -1,
  fraction: 1.5,
  infinite: Number.POSITIVE_INFINITY,
  bigint: 1n,
  symbol: Symbol('x'),
  function: () => 0,
  'empty list': [],
  'list of NaN': [Number.NaN],
  'list of fractions': [1.5],
  'list of texts': ['x'],
  'list of lists': [[1]],
  'list of symbols': [Symbol('x')],
  'list of bare objects': [bare],
  'bare object': bare,
  'empty object': {},
  'unknown key': { unknown: 1 },
} as const;

type Wrong = keyof typeof wrong;

/** A valid value of an argument, the values of `wrong` that are also valid for it, and its options. */
interface Argument {
  readonly value: unknown;
  readonly accepts: readonly Wrong[];
  readonly options: Readonly<Record<string, Argument>>;
}

function argument(value: unknown, accepts: readonly Wrong[] = [], options: Argument['options'] = {}): Argument {
  return { value, accepts, options };
}

const numbers = ['NaN', 'negative', 'fraction', 'infinite'] as const;
const x = argument(fromArray(backend, [1, 2, 3, 4, 5, 6], [2, 3]));
const vector = argument(fromArray(backend, [1, 0]));
const images = argument(fromArray(backend, new Float32Array(16), [1, 4, 4, 1]));
const operand = argument(x.value, numbers);
const number = argument(1, numbers);
const flag = argument(true, ['true']);
const axes = argument([0], ['empty list']);
/** Every number in `wrong` except -1 is invalid as an axis. */
const axis = argument(0, ['negative']);
const whole = argument(2);
const size = argument([2, 3], ['empty list']);
const given = argument(backend);
const seed = argument(1);
const text = (...values: string[]): Argument => argument(values[0]);

/** Describes an object of options; all may be omitted. */
function options(fields: Readonly<Record<string, Argument>>): Argument {
  return argument({}, ['missing', 'empty object'], fields);
}

const reduce = options({ axes, keepAxes: flag });
const windows = options({ stride: whole, padding: argument(0) });
const leaf = { requiresGrad: flag };
const ranges = argument([{}], ['empty list']);
const keys = argument({ key: fromArray(backend, [1, 2, 3, 4]), samples: vector.value });
const unary = [x];
const binary = [operand, operand];

/** The arguments of each function. */
const functions: Readonly<Record<string, readonly Argument[]>> = {
  ...Object.fromEntries(
    ['abs', 'exp', 'log', 'neg', 'normalCdf', 'relu', 'sigmoid', 'softplus', 'softsign', 'sqrt', 'tanh'].map((name) => [
      name,
      unary,
    ]),
  ),
  ...Object.fromEntries(
    [
      ...['add', 'sub', 'mul', 'div', 'pow', 'maximum', 'minimum', 'reluGrad'],
      ...['equal', 'notEqual', 'greater', 'greaterEqual', 'less', 'lessEqual'],
    ].map((name) => [name, binary]),
  ),
  where: [operand, operand, operand],
  leakyRelu: [x, argument(0.1, ['missing', ...numbers])],
  gelu: [x, options({ approximate: text('tanh') })],
  clamp: [x, argument({}, ['empty object'], { low: number, high: number })],
  reshape: [x, argument([3, 2])],
  permute: [x, argument([1, 0])],
  transpose: [x, argument(0, ['missing', 'negative']), argument(1, ['missing', 'negative'])],
  broadcastTo: [x, argument([2, 2, 3])],
  softmaxCrossEntropy: [x, vector],
  correct: [x, vector],
  conv2d: [images, argument(fromArray(backend, [1], [1, 1, 1, 1])), windows],
  maxPool2d: [images, whole, options({ stride: whole, padding: argument(1) })],
  sumPool2d: [images, whole, options({ stride: whole, padding: argument(1) })],
  averagePool2d: [images, whole, options({ stride: whole, padding: argument(1) })],
  randomKey: [seed, seed],
  randomUniform: [keys, whole],
  dropout: [x, argument(0.5), keys],
  gather: [x, axis, argument(fromArray(backend, [0, 1], [2, 1]))],
  indexSelect: [x, vector, argument(0, ['missing', 'negative'])],
  scatterAdd: [x, argument(fromArray(backend, [0, 1, 0, 1, 0, 1], [2, 3])), axis, whole],
  oneHot: [vector, whole],
  concat: [argument([x.value, x.value]), argument(0, ['missing', 'negative'])],
  stack: [argument([x.value, x.value]), argument(0, ['missing', 'negative'])],
  crossEntropy: [x, vector, options({ reduction: text('sum') })],
  mse: [x, x, options({ reduction: text('none') })],
  matmul: [
    x,
    argument(fromArray(backend, [1, 2, 3], [3, 1])),
    options({ transposeLeft: argument(false), transposeRight: argument(false) }),
  ],
  sum: [x, options({ axes, keepAxes: flag, microbatches: argument(2) })],
  mean: [x, reduce],
  max: [x, reduce],
  min: [x, reduce],
  norm: [x, reduce],
  argmax: [x, argument(0, ['missing', 'negative'])],
  slice: [x, ranges],
  place: [x, argument([2, 3]), ranges, argument(0, ['missing', ...numbers])],
  pad: [
    x,
    argument([
      [0, 0],
      [1, 1],
    ]),
    argument(0, ['missing', ...numbers]),
  ],
  softmax: [x, options({ axis, temperature: argument(2, ['fraction', 'infinite']), causal: flag })],
  layerNorm: [x, options({ epsilon: number })],
  logSoftmax: [x, options({ axis, temperature: argument(2, ['fraction', 'infinite']) })],
  dot: [vector, vector],
  cosineSimilarity: [x, x, options({ axis, epsilon: number })],
  full: [given, size, number, options(leaf)],
  zeros: [given, size, options(leaf)],
  ones: [given, size, options(leaf)],
  arange: [
    given,
    argument(3, ['negative', 'fraction']),
    options({ start: argument(0, ['negative', 'fraction']), step: argument(1, ['negative', 'fraction', 'infinite']) }),
  ],
  uniform: [given, size, seed, options({ ...leaf, low: number, high: number })],
  normal: [given, size, seed, options({ ...leaf, mean: number, standardDeviation: number })],
  fromArray: [
    given,
    argument([1, 2], ['empty list', 'list of NaN', 'list of fractions']),
    argument(undefined, ['missing']),
    options(leaf),
  ],
  fromStorage: [given, argument(vector.value instanceof tensor.Tensor && vector.value.storage), argument([2])],
  tidy: [argument(() => x.value, ['function'])],
  noGrad: [argument(() => x.value, ['function'])],
  valueAndGrad: [
    argument((leaf = x.value) => tensor.sum(leaf as tensor.Tensor)),
    argument([x.value], ['empty list']),
    options({ microbatches: argument(1) }),
  ],
  compile: [
    given,
    argument((input?: tensor.Tensor) => (input ? tensor.sum(input) : [])),
    argument([x.value], ['empty list', 'list of lists']),
    options({ into: argument([], ['empty list']) }),
  ],
  apply: [text('add'), argument(tensor.input(0), numbers), argument(1, numbers)],
  constant: [number],
  input: [whole],
  substituteInputs: [argument(tensor.input(0)), argument(() => tensor.input(1), ['function'])],
};

/** Functions for other packages of this project; they work on storages and bytes, which users do not handle. */
const plumbing = [
  'additionCall',
  'createByteInput',
  'createByteTable',
  'exp32',
  'formatShape',
  'isHostBackend',
  'isSoftwareAdapter',
  'normalQuantile',
  'openBackend',
  'philox',
  'prepareElementwise',
  'randomStream',
  'recordOps',
  'runKernelThread',
  'runTogether',
  'sizeOf',
  'sliceSum',
  'sumFormula',
  'vectorsOf',
];

type AnyFunction = (...given: unknown[]) => unknown;
const exported = tensor as unknown as Readonly<Record<string, AnyFunction>>;

/** Describes what is wrong with a function's reaction to an argument, if anything. */
function complaint(name: string, given: readonly unknown[], accepted: boolean): string | undefined {
  try {
    tensor.tidy(() => exported[name]!(...given));
    return accepted ? undefined : 'was taken';
  } catch (error) {
    const { message } = error as Error;
    if (accepted) return `was refused: ${message}`;
    return !(error instanceof TypeError) && message.startsWith(`${name}:`) ? undefined : `ended with ${error}`;
  }
}

it('is asked for every public function', () => {
  const isClass = (value: AnyFunction): boolean => /^class\b/.test(String(value));
  const names = Object.keys(exported).filter(
    (name) => typeof exported[name] === 'function' && !isClass(exported[name]!),
  );
  expect(Object.keys(functions).sort()).toEqual(names.filter((name) => !plumbing.includes(name)).sort());
});

describe.each(Object.entries(functions))('%s', (name, parameters) => {
  const right = parameters.map(({ value }) => value);

  it('takes right arguments', () => {
    expect(complaint(name, right, true)).toBeUndefined();
  });

  it('says what is wrong with others', () => {
    const complaints: string[] = [];
    const attempt = (what: string, values: readonly unknown[], accepted: boolean): void => {
      const found = complaint(name, values, accepted);
      if (found !== undefined) complaints.push(`${what} ${found}`);
    };
    parameters.forEach(({ accepts, options }, position) => {
      for (const [what, value] of Object.entries(wrong) as [Wrong, unknown][]) {
        attempt(`argument ${position}: ${what}`, right.with(position, value), accepts.includes(what));
        for (const [key, option] of Object.entries(options)) {
          const accepted = what === 'missing' || option.accepts.includes(what);
          attempt(`option ${key}: ${what}`, right.with(position, { [key]: value }), accepted);
        }
      }
    });
    expect(complaints).toEqual([]);
  });
});

it('an error shows the beginning of a long value', () => {
  const long = Array.from({ length: 70 }, (_, index) => index);
  expect(shown('x'.repeat(70))).toBe(`"${'x'.repeat(64)}"`);
  expect(shown(long)).toBe('[0, 1, 2, 3, 4, 5, 6, 7, …]');
  expect(shown({ ...long })).toBe('{ 0, 1, 2, 3, 4, 5, 6, 7 }');
});

it.each([undefined, null, 'CPU', 'toString', Number.NaN, {}])(
  'openBackend says what it expected instead of %s',
  async (name) => {
    await expect(tensor.openBackend(name as 'cpu')).rejects.toThrow('openBackend: the backend must be auto, cpu,');
  },
);

it.each([null, 2, {}, { count: 1.5 }, { count: 2, start: 1 }])(
  'openBackend says which threads it expected instead of %j',
  async (threads) => {
    await expect(tensor.openBackend('cpu', threads as never)).rejects.toThrow(
      /^openBackend: (the threads|count|start) must be/,
    );
  },
);

describe('two copies of the module', async () => {
  vi.resetModules();
  const other = await import('../src/index.ts');
  const { backend: host } = await other.openBackend('reference');
  const [own, foreign] = [fromArray(host, [1, 2]), other.fromArray(host, [1, 2], undefined, { requiresGrad: true })];

  it.each<[string, () => unknown]>([
    ['add', () => tensor.add(own, foreign as never)],
    ['sum', () => other.sum(own as never)],
    ['valueAndGrad', () => tensor.valueAndGrad((leaf) => tensor.sum(leaf!), [foreign as never])],
    ['valueAndGrad', () => tensor.valueAndGrad(() => other.sum(foreign) as never, [own])],
    ['mul', () => tensor.valueAndGrad((leaf) => other.sum(other.mul(leaf as never, leaf as never)) as never, [own])],
    ['compile', () => tensor.compile(host, (leaf) => tensor.sum(leaf!), [foreign as never])],
    ['compile', () => tensor.compile(host, () => foreign as never, [own])],
    ['concat', () => tensor.concat([own, foreign as never])],
  ])('%s does not mix their tensors', (name, attempt) => {
    expect(attempt).toThrow(new RegExp(`^${name}: .* is a tensor of another copy of @lockstep/tensor, .*npm ls`));
  });
});
