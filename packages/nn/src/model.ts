/** A model as data: its layers, the models that have a name, its parameters and their first values. */

import { checkArguments, type TargetField } from '@lockstep/data';
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
import { inTorchOrder, type Layer, type LayerParameter, layerKind, layerListSchema } from './layers.ts';

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
    throw new Error(`model ${model.name}: expected at most ${maximumParameters} parameters, got ${parameters}`);
  }
  return model;
}

interface Parameter extends LayerParameter {
  /** Name in `torch.nn.Sequential`: `0.weight`, `0.bias`, `2.weight`, … */
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
  const place = (layer: Layer, input: Shape, path: string): PlacedLayer => {
    const kind = layerKind(layer);
    const checked = <Result>(run: () => Result): Result => {
      try {
        return run();
      } catch (error) {
        const where = path.replaceAll('.', '].layers[');
        throw new Error(`model ${model.name}: layers[${where}] (${layer.type}): ${(error as Error).message}`);
      }
    };
    const own = { path, layer, input, stream: stream++ };
    const parameters = checked(() => kind.parameters?.(layer, input, image) ?? []).map((parameter) => {
      const size = sizeOf(parameter.shape);
      offset += size;
      return { ...parameter, name: `${path}.${parameter.suffix}`, offset: offset - size, size };
    });
    const before = image;
    const nested = 'layers' in layer ? placeList(layer.layers, input, `${path}.`) : [];
    const inner = { image: before, nested: nested.at(-1)?.output ?? input };
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

/** Returns the number of outputs per sample: one score per class, or one per value to predict. */
export function outputCount(model: Model): number {
  const { output } = placeLayers(model).at(-1)!;
  if (output.length !== 1) {
    const got = formatShape(output);
    throw new Error(`model ${model.name}: expected the last layer to give one row of outputs, got ${got}`);
  }
  return output[0]!;
}

/** The data shapes that a model must fit. */
interface ModelFit {
  /** [height, width, channels] for a picture, [features] for a table row. */
  readonly sampleShape: Shape;
  /** Number of outputs: one score per class, or one per value to predict. */
  readonly outputs: number;
}

const mnist: ModelFit = { sampleShape: [28, 28, 1], outputs: 10 };

interface BuiltIn {
  readonly name: string;
  /** Throws one sentence if the model cannot take samples of this shape. */
  readonly fit: (fit: ModelFit) => Pick<Model, 'input' | 'layers'>;
}

const builtIns: readonly BuiltIn[] = [
  /** 784-128-10 for MNIST: 101,770 parameters. */
  {
    name: 'mlp',
    fit({ sampleShape, outputs }) {
      const layers: Layer[] = [{ type: 'dense', units: 128 }, { type: 'relu' }, { type: 'dense', units: outputs }];
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
  convolutional('cnn-large', [
    { filters: 16, kernel: 5 },
    { filters: 32, kernel: 3 },
    { filters: 64, kernel: 3 },
  ]),
];

/** Convolutions that keep height and width, each with relu and pooling, before a dense layer. */
function convolutional(
  name: string,
  convolutions: readonly { readonly filters: number; readonly kernel: number }[],
): BuiltIn {
  return {
    name,
    fit({ sampleShape, outputs }) {
      if (sampleShape.length !== 3) {
        throw new Error(
          `model ${name}: expected samples of [height, width, channels], got ${formatShape(sampleShape)}`,
        );
      }
      const blocks = convolutions.flatMap(({ filters, kernel }): Layer[] => [
        { type: 'conv2d', filters, kernel, padding: (kernel - 1) / 2 },
        { type: 'relu' },
        { type: 'maxPool2d', window: 2 },
      ]);
      return { input: sampleShape, layers: [...blocks, { type: 'flatten' }, { type: 'dense', units: outputs }] };
    },
  };
}

/** Names of the built-in models. */
export const builtInModels: readonly string[] = builtIns.map(({ name }) => name);

/**
 * Returns the built-in model of that name, fitted to the data, or the model described by a JSON text.
 * Throws one sentence if the text is neither.
 * @param fit the shapes of MNIST by default
 */
export function resolveModel(nameOrJson: string, fit: ModelFit = mnist): Model {
  checkArguments('resolveModel', [kinds.text, nameOrJson], [kinds.fit, fit]);
  const builtIn = builtIns.find(({ name }) => name === nameOrJson);
  if (builtIn) {
    const model = { name: builtIn.name, ...builtIn.fit(fit) };
    // Throws if the samples are too small for a layer.
    placeLayers(model);
    return model;
  }
  if (!nameOrJson.trimStart().startsWith('{')) {
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
  return parseModel(data);
}

/** Returns the number of values in a labeled sample: one more than the input if it ends with its last next token. */
export function sampleSize(model: Model, { role }: TargetField): number {
  return inputSize(model) + (role === 'next' ? 1 : 0);
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
 * (`kaiming_uniform_(weight, a=sqrt(5))`). Numbers are drawn as PyTorch draws them on a CPU: Mersenne Twister, 24 bits
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
      [`${path} ${layer.type}`, formatShape(output), grouped(totalSize(parameters))] as const,
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
    `Total: ${grouped(total)} parameters (${bytesText(total * 4)})`,
  ].join('\n');
}

/** Formats a count as `101,770`, independent of the locale. */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

function bytesText(bytes: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
