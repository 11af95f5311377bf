/** A model as data: its layers, the models that have a name, its parameters and their first values. */

import { checkArguments, type SampleField, type TargetField } from '@lockstep/data';
import { bytesText, shownValue, thousands } from '@lockstep/data/shown';
import {
  type Backend,
  formatShape,
  fromStorage,
  type Shape,
  type Storage,
  sizeOf,
  type Tensor,
} from '@lockstep/tensor';
import { mersenne } from 'pure-rand/generator/mersenne';
import * as v from 'valibot';
import { check, kinds, wholeNumberFrom } from './check.ts';
import { gpt2Names } from './gpt2.ts';
import { inTorchOrder, type LayerParameter, sameLayout } from './layer-kind.ts';
import { type Layer, layerKind, layerListSchema } from './layers.ts';

/** A model as plain data: the shape of a sample, and a list of layers. */
export interface Model {
  readonly name: string;
  /** Shape of one sample, without the batch axis. */
  readonly input: Shape;
  readonly layers: readonly Layer[];
}

/** A model may come from the network, so its sizes are checked before anything is allocated. */
const maximumParameters = 2 ** 28;
const maximumSize = 65_536;

const sizesMessage = 'expected a list of 1 to 4 sizes';
const modelSchema = v.strictObject({
  name: v.pipe(
    v.string('expected a name'),
    v.regex(/^[\w .-]{1,64}$/, 'expected 1 to 64 letters, digits, spaces, dots, dashes or underscores'),
  ),
  input: v.pipe(
    v.array(wholeNumberFrom(1, maximumSize), sizesMessage),
    v.minLength(1, sizesMessage),
    v.maxLength(4, sizesMessage),
  ),
  layers: layerListSchema,
});

/**
 * Checks that plain data is a model whose layers fit one another and end in one row of outputs.
 * Throws one sentence that names the invalid entry.
 */
export function parseModel(data: unknown): Model {
  const model = check('', modelSchema, data);
  outputCount(model);
  const parameters = parameterCount(model);
  if (parameters > maximumParameters) {
    throw new Error(`expected at most ${maximumParameters} parameters, got ${parameters}`);
  }
  return model;
}

interface Parameter extends LayerParameter {
  /** Name in `torch.nn.Sequential`, `0.weight`, `0.bias`, `2.weight`, …, or in GPT-2 if the layers are GPT-2's. */
  readonly name: string;
  /** Index of the first element in the flat vector. `size` is the number of elements. */
  readonly offset: number;
  readonly size: number;
}

/** A layer in its place in a model. */
export interface PlacedLayer {
  /** Index in its list, after those of the layers that hold it: `3`, or `3.0`. */
  readonly path: string;
  readonly layer: Layer;
  /** Shapes of one sample. */
  readonly input: Shape;
  readonly output: Shape;
  /** Its own parameters, without those of layers inside. */
  readonly parameters: readonly Parameter[];
  /** Makes its random choices independent of other layers'. */
  readonly stream: number;
  /** The layers inside. */
  readonly nested: readonly PlacedLayer[];
}

/** Returns the layers of the model's own list. Throws one sentence if they do not fit one another. */
export function placeLayers(model: Model): readonly PlacedLayer[] {
  checkArguments('placeLayers', [kinds.model, model]);
  let [offset, stream] = [0, 0];
  /** Shape of the image if a sample is flattened. Elementwise layers keep every value in its place. */
  let image: Shape | undefined;
  const embedding = embeddingOf(model);
  const names = gpt2Names(model.layers);
  const place = (layer: Layer, input: Shape, path: string): PlacedLayer => {
    const kind = layerKind(layer);
    const checked = <Result>(run: () => Result): Result => {
      try {
        return run();
      } catch (error) {
        throw new Error(`${shownPath(path)} (${layer.type}): ${(error as Error).message}`);
      }
    };
    const own = { path, layer, input, stream: stream++ };
    const list = checked(() => kind.parameters?.(layer, input, image) ?? []);
    const prefix = (list.length > 0 && names?.shift()) || path;
    const parameters = list.map((parameter) => {
      const { shape, suffix } = parameter;
      const size = sizeOf(shape);
      offset += size;
      // GPT-2's rule: in models of tokens, the decay leaves biases and the weights of normalization alone.
      const decays = parameter.decays && (!embedding || shape.length > 1);
      // GPT-2 stores matrices as [in, out], as this project does.
      const torch = names ? sameLayout(shape) : parameter.torch;
      return { ...parameter, decays, torch, name: `${prefix}.${suffix}`, offset: offset - size, size };
    });
    const before = image;
    const nested = 'layers' in layer ? placeList(layer.layers, input, `${path}.`) : [];
    const inner = { image: before, nested: nested.at(-1)?.output ?? input, isFirst: path === '0', embedding };
    const output = checked(() => kind.outputShape?.(layer, input, inner) ?? input);
    const isElementwise = parameters.length === 0 && input.join() === output.join();
    if (layer.type === 'flatten') image = input.length === 3 ? input : before;
    else image = isElementwise ? before : undefined;
    return { ...own, output, parameters, nested };
  };
  const placeList = (layers: readonly Layer[], first: Shape, prefix: string): PlacedLayer[] => {
    let input = first;
    return layers.map((layer, index) => {
      const placed = place(layer, input, `${prefix}${index}`);
      input = placed.output;
      return placed;
    });
  };
  return placeList(model.layers, model.input, '');
}

/** Returns the path of a layer as in the model's JSON: `layers[3].layers[0]`. */
function shownPath(path: string): string {
  return `layers[${path.replaceAll('.', '].layers[')}]`;
}

/** Returns the model's first layer if it is an embedding: the samples of the model are then tokens. */
export function embeddingOf(model: Model): Extract<Layer, { type: 'embedding' }> | undefined {
  checkArguments('embeddingOf', [kinds.model, model]);
  const [first] = model.layers;
  return first?.type === 'embedding' ? first : undefined;
}

/** Returns all layers, each before the layers inside. */
export function everyLayer(model: Model): readonly PlacedLayer[] {
  const flat = (list: readonly PlacedLayer[]): PlacedLayer[] => list.flatMap((each) => [each, ...flat(each.nested)]);
  return flat(placeLayers(model));
}

/** Returns the number of values in one sample. */
export function inputSize(model: Model): number {
  checkArguments('inputSize', [kinds.model, model]);
  return sizeOf(model.input);
}

/** Returns the number of outputs: one score per class or token, or one per value to predict. */
export function outputCount(model: Model): number {
  return outputShape(model).at(-1)!;
}

/** Whether the model predicts at each position of a text: outputs are [positions, tokens]. */
export function predictsPositions(model: Model): boolean {
  return outputShape(model).length === 2;
}

function outputShape(model: Model): Shape {
  const { output } = placeLayers(model).at(-1)!;
  if (output.length === 1 || (output.length === 2 && embeddingOf(model))) return output;
  const got = formatShape(output);
  throw new Error(`expected the last layer to give one row of outputs, got ${got}`);
}

/** Returns the number of values in a labeled sample: one more than the input for next tokens. */
export function sampleSize(model: Model, targets: TargetField): number {
  checkArguments('sampleSize', [kinds.model, model], [kinds.field, targets]);
  return inputSize(model) + (targets.role === 'next' ? 1 : 0);
}

/** The data that a built-in model must fit. */
interface ModelFit {
  /** Shape of the model's input: [height, width, channels] for a picture, [features] for a row, [positions] for text. */
  readonly sampleShape: Shape;
  /** Number of outputs: one score per class or token, or one per value to predict. */
  readonly outputs: number;
  /** Size of the vocabulary; omitted unless samples are text. */
  readonly tokens?: number | undefined;
  /** Whether each position predicts the next token; false by default. */
  readonly predictsNext?: boolean;
}

/** Returns what a model must fit to learn these targets from these samples. */
export function fitOf(samples: SampleField, targets: TargetField & { readonly names: readonly string[] }): ModelFit {
  checkArguments('fitOf', [kinds.field, samples], [kinds.field, targets]);
  const predictsNext = targets.role === 'next';
  return {
    sampleShape: predictsNext ? [samples.shape[0]! - 1] : samples.shape,
    outputs: targets.names.length,
    tokens: samples.role === 'index' ? samples.tokens : undefined,
    predictsNext,
  };
}

/**
 * Describes why a model cannot learn these targets from these samples; undefined if it can.
 * Their sizes fit. The text completes a sentence that begins with the model.
 */
export function fitFault(model: Model, samples: SampleField, targets: TargetField): string | undefined {
  checkArguments('fitFault', [kinds.model, model], [kinds.field, samples], [kinds.field, targets]);
  const tokens = embeddingOf(model)?.tokens;
  const vocabulary = samples.role === 'index' ? samples.tokens : undefined;
  if (vocabulary !== undefined && tokens === undefined)
    return 'expected an embedding as the first layer, to read tokens';
  if (vocabulary === undefined && tokens !== undefined) return 'expected a text, whose tokens the embedding reads';
  if (vocabulary !== tokens) return `expected an embedding of ${vocabulary} tokens, as the text has, got ${tokens}`;
  const isNext = targets.role === 'next';
  if (isNext === predictsPositions(model)) {
    const peeking = everyLayer(model).find(({ layer }) => layer.type === 'attention' && layer.causal === false);
    if (!isNext || !peeking) return undefined;
    return `${shownPath(peeking.path)}.causal: expected true to predict the next token, got false, which lets each position see it`;
  }
  return isNext
    ? 'expected scores of the next token at each position, got one row of outputs'
    : 'expected one row of outputs for a text, such as meanPositions gives, got a row for each position';
}

const mnist: ModelFit = { sampleShape: [28, 28, 1], outputs: 10 };

interface BuiltIn {
  readonly name: string;
  /** Data that the model gets by default. */
  readonly example: ModelFit;
  /** Throws one sentence if the model cannot take samples of this shape. */
  readonly fit: (fit: ModelFit) => Pick<Model, 'input' | 'layers'>;
}

/** Deviation of the initial weights in GPT-2 and nanoGPT. */
const deviation = 0.02;

const builtIns: readonly BuiltIn[] = [
  /** 784-128-10 for MNIST: 101,770 parameters. */
  {
    name: 'mlp',
    example: mnist,
    fit({ sampleShape, outputs, tokens, predictsNext = false }) {
      if (predictsNext) throw new Error('expected one target a sample, got the next token at each position');
      const layers: Layer[] = [{ type: 'dense', units: 128 }, { type: 'relu' }, { type: 'dense', units: outputs }];
      if (tokens !== undefined) {
        return {
          input: sampleShape,
          layers: [{ type: 'embedding', tokens, width: 64 }, { type: 'meanPositions' }, ...layers],
        };
      }
      // PyTorch's flattening order matters only for pictures with several channels.
      const isColor = sampleShape.length === 3 && sampleShape[2]! > 1;
      return isColor
        ? { input: sampleShape, layers: [{ type: 'flatten' }, ...layers] }
        : { input: [sizeOf(sampleShape)], layers };
    },
  },
  /** 11,274 parameters for MNIST. */
  convolutional('cnn', [
    { filters: 8, kernel: 5 },
    { filters: 16, kernel: 5 },
  ]),
  /** 29,322 parameters for MNIST. */
  convolutional(
    'cnn-large',
    [
      { filters: 16, kernel: 5 },
      { filters: 32, kernel: 3 },
      { filters: 64, kernel: 3 },
    ],
    // Without dropout, one seed in three falls short of 99.2 % in five epochs.
    [{ type: 'dropout', rate: 0.3 }],
  ),
  /** nanoGPT's setting for a CPU: with 65 characters 809,856 parameters, 5,760 of them biases, which GPT-2 has too. */
  transformer('gpt', { blocks: 4, heads: 4, width: 128, context: 64, tokens: 65 }),
  /** 7,280 parameters for 27 characters: small enough for tests. */
  transformer('gpt-nano', { blocks: 2, heads: 2, width: 16, context: 16, tokens: 27 }),
  /** The size of makemore's transformer, for lines such as names: 202,816 parameters for 27 characters. */
  transformer('names', { blocks: 4, heads: 4, width: 64, context: 16, tokens: 27 }),
];

/** Convolutions that keep height and width, each with relu and pooling, then `more` layers and a dense one. */
function convolutional(
  name: string,
  convolutions: readonly { readonly filters: number; readonly kernel: number }[],
  more: readonly Layer[] = [],
): BuiltIn {
  return {
    name,
    example: mnist,
    fit({ sampleShape, outputs }) {
      if (sampleShape.length !== 3) {
        throw new Error(`expected samples of [height, width, channels], got ${formatShape(sampleShape)}`);
      }
      const blocks = convolutions.flatMap(({ filters, kernel }): Layer[] => [
        { type: 'conv2d', filters, kernel, padding: (kernel - 1) / 2 },
        { type: 'relu' },
        { type: 'maxPool2d', window: 2 },
      ]);
      const dense: Layer = { type: 'dense', units: outputs };
      return { input: sampleShape, layers: [...blocks, { type: 'flatten' }, ...more, dense] };
    },
  };
}

/** GPT-2's blocks, initialized as in nanoGPT: scores of the next token, or outputs of the mean over the positions. */
function transformer(
  name: string,
  size: { blocks: number; heads: number; width: number; context: number; tokens: number },
): BuiltIn {
  const { blocks, heads, width } = size;
  const init = { normal: deviation };
  // Each block adds twice to the residual stream, whose deviation would otherwise grow with their number.
  const projectionInit = { normal: deviation / Math.sqrt(2 * blocks) };
  return {
    name,
    example: { sampleShape: [size.context], outputs: size.tokens, tokens: size.tokens, predictsNext: true },
    fit({ sampleShape, outputs, tokens, predictsNext = false }) {
      if (tokens === undefined) {
        throw new Error(`expected a text, got samples of ${formatShape(sampleShape)}`);
      }
      const causal = predictsNext ? {} : { causal: false };
      const block: Layer[] = [
        {
          type: 'residual',
          layers: [{ type: 'layerNorm' }, { type: 'attention', heads, ...causal, init, projectionInit }],
        },
        {
          type: 'residual',
          layers: [
            { type: 'layerNorm' },
            { type: 'dense', units: 4 * width, init },
            { type: 'gelu' },
            { type: 'dense', units: width, init: projectionInit },
          ],
        },
      ];
      const head: Layer[] = predictsNext
        ? [{ type: 'tiedOutput' }]
        : [{ type: 'meanPositions' }, { type: 'dense', units: outputs, init }];
      return {
        input: sampleShape,
        layers: [
          { type: 'embedding', tokens, width, init },
          { type: 'positions', init },
          ...Array.from({ length: blocks }, () => block).flat(),
          { type: 'layerNorm' },
          ...head,
        ],
      };
    },
  };
}

/** Names of the built-in models. */
export const builtInModels: readonly string[] = builtIns.map(({ name }) => name);

/**
 * Returns the built-in model of that name, fitted to the data, or the model described by a JSON text.
 * Throws one sentence if the text is neither.
 * @param fit by default MNIST, or a text for models of text
 */
export function resolveModel(nameOrJson: string, fit?: ModelFit): Model {
  checkArguments('resolveModel', [kinds.text, nameOrJson]);
  if (fit !== undefined) checkArguments('resolveModel', [kinds.fit, fit]);
  const builtIn = builtIns.find(({ name }) => name === nameOrJson);
  if (builtIn) {
    const model = { name: builtIn.name, ...builtIn.fit(fit ?? builtIn.example) };
    // Throws if the samples are too small for a layer.
    placeLayers(model);
    return model;
  }
  if (!/^\s*["[{\d]/.test(nameOrJson)) {
    const names = builtInModels.join(', ');
    const got = JSON.stringify(nameOrJson.slice(0, 64));
    throw new Error(`expected ${names}, or JSON with a list of layers, got ${got}`);
  }
  let data: unknown;
  try {
    data = JSON.parse(nameOrJson);
  } catch (error) {
    throw new Error(`cannot be read as JSON: ${(error as Error).message}`);
  }
  if (typeof data !== 'object' || Array.isArray(data)) {
    const got = Array.isArray(data) ? 'a list: make it the value of "layers"' : shownValue(data);
    throw new Error(`expected a JSON object with name, input and layers, got ${got}`);
  }
  return parseModel(data);
}

/** Returns all parameters in model order, contiguous. */
export function parameterLayout(model: Model): Parameter[] {
  return everyLayer(model).flatMap(({ parameters }) => parameters);
}

/** Returns the length of the flat vector. */
export function parameterCount(model: Model): number {
  return totalSize(parameterLayout(model));
}

/** Returns the length of a flat vector with this layout. */
export function totalSize(layout: readonly Parameter[]): number {
  return layout.reduce((total, { size }) => total + size, 0);
}

/** Returns one tensor per parameter, over the flat `parameters` [P]. Throws if P is not the model's parameter count. */
export function parameterTensors(backend: Backend, model: Model, parameters: Storage): Tensor[] {
  const layout = parameterLayout(model);
  checkParameterCount(model, layout, parameters.length);
  return layout.map(({ offset, size, shape }) => fromStorage(backend, backend.slice(parameters, offset, size), shape));
}

export function checkParameterCount(model: Model, layout: readonly Parameter[], count: number): void {
  const total = totalSize(layout);
  if (count !== total) throw new Error(`model ${model.name}: expected ${total} parameters, got ${count}`);
}

/**
 * Returns the initial weights `[parameterCount]` for a seed, with the same bits as PyTorch.
 * Unless a layer sets `init`, its parameters are uniform in ±1/sqrt(fanIn), as in `torch.nn.Linear`
 * (`kaiming_uniform_(weight, a=sqrt(5))`). Normal values, which embeddings have by default, are the exception to
 * PyTorch's bits: they are quantiles of words of the generator. Numbers are drawn as PyTorch draws them on a CPU: Mersenne Twister, 24 bits
 * per value, weights in PyTorch's layout. They equal those of a `torch.nn.Sequential` that is built after
 * `torch.manual_seed(seed)`. No function is used whose rounding may differ between engines.
 */
export function initialize(model: Model, seed: number): Float32Array {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    throw new Error(`seed: expected a whole number from 0 to ${0xffff_ffff}, got ${seed}`);
  }
  const generator = mersenne(seed);
  const layout = parameterLayout(model);
  const result = new Float32Array(totalSize(layout));
  for (const { initial, torch, offset } of layout) {
    inTorchOrder(torch, (place) => {
      result[offset + place] = initial(generator);
    });
  }
  return result;
}

/** Returns a table of layers, output shapes of one sample and parameter counts, as lines of text. */
export function summary(model: Model): string {
  const rows = everyLayer(model).map(
    ({ path, layer, output, parameters }) =>
      [`${path} ${layer.type}`, formatShape(output), thousands(totalSize(parameters))] as const,
  );
  const table = [['layer', 'output shape', 'parameters'], ['input', formatShape(model.input), ''], ...rows] as const;
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `${row[0]!.padEnd(widths[0]!)}   ${row[1]!.padEnd(widths[1]!)}   ${row[2]!.padStart(widths[2]!)}`.trimEnd();
  const rule = (mark: string): string => mark.repeat(widths[0]! + widths[1]! + widths[2]! + 6);
  const total = parameterCount(model);
  return [
    `Model: ${model.name}`,
    rule('─'),
    line(table[0]),
    rule('═'),
    ...table.slice(1).map(line),
    rule('─'),
    `Total: ${thousands(total)} parameters (${bytesText(total * 4)})`,
  ].join('\n');
}
