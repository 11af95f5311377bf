/** Models as data: a validated list of layers, never code. */
import { formatShape, type Shape, sizeOf } from '@lockstep/tensor';
import * as v from 'valibot';
import { check, wholeNumber } from './check.ts';
import { type Layer, layerKind, layerSchema } from './layers/index.ts';
import type { LayerParameter } from './layers/layer.ts';

/** A model as plain data: the shape of a sample, and a list of layers. */
export interface Model {
  readonly name: string;
  /** Shape of one sample, without the batch axis. */
  readonly input: Shape;
  readonly layers: readonly Layer[];
}

/** A model may come from the network, so its sizes are checked before anything is allocated. */
const maximumParameters = 2 ** 28;
const maximumLayers = 256;
const maximumSize = 65_536;

const sizesMessage = 'expected a list of 1 to 4 sizes';
const layersMessage = `expected a list of 1 to ${maximumLayers} layers`;
const modelSchema = v.strictObject({
  name: v.pipe(
    v.string('expected a name'),
    v.regex(/^[\w .-]{1,64}$/, 'expected 1 to 64 letters, digits, spaces, dots, dashes or underscores'),
  ),
  input: v.pipe(
    v.array(wholeNumber(1, maximumSize), sizesMessage),
    v.minLength(1, sizesMessage),
    v.maxLength(4, sizesMessage),
  ),
  layers: v.pipe(
    v.array(layerSchema, layersMessage),
    v.minLength(1, layersMessage),
    v.maxLength(maximumLayers, layersMessage),
  ),
});

/**
 * Checks that plain data is a model whose layers fit one another and end in one row of outputs.
 * Throws one sentence that names the invalid entry.
 */
export function parseModel(data: unknown): Model {
  const model = check('model', modelSchema, data);
  outputCount(model);
  const tensors = layerParameters(model).flat();
  const parameters = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  if (parameters > maximumParameters) {
    throw new Error(`model ${model.name}: expected at most ${maximumParameters} parameters, got ${parameters}`);
  }
  return model;
}

/** Returns the `layers.length + 1` shapes of one sample: before the first layer and after each layer. */
export function layerShapes(model: Model): Shape[] {
  const shapes: Shape[] = [model.input];
  for (const [index, layer] of model.layers.entries()) {
    const input = shapes[index]!;
    try {
      shapes.push(layerKind(layer).outputShape?.(layer, input) ?? input);
    } catch (error) {
      throw new Error(`model ${model.name}: layers[${index}] (${layer.type}): ${(error as Error).message}`);
    }
  }
  return shapes;
}

/**
 * Returns the trainable tensors of each layer.
 * A flattened image still counts as one after elementwise layers, which keep every value in place.
 */
export function layerParameters(model: Model): (readonly LayerParameter[])[] {
  const shapes = layerShapes(model);
  let image: Shape | undefined;
  return model.layers.map((layer, index) => {
    const [input, output] = [shapes[index]!, shapes[index + 1]!];
    const parameters = layerKind(layer).parameters?.(layer, input, image) ?? [];
    const isElementwise = parameters.length === 0 && input.join() === output.join();
    if (layer.type === 'flatten') image = input.length === 3 ? input : image;
    else if (!isElementwise) image = undefined;
    return parameters;
  });
}

/** Returns the number of values in one sample. */
export function inputSize(model: Model): number {
  return sizeOf(model.input);
}

/** Returns the number of outputs per sample: one score per class, or one per value to predict. */
export function outputCount(model: Model): number {
  const output = layerShapes(model).at(-1)!;
  if (output.length !== 1) {
    const got = formatShape(output);
    throw new Error(`model ${model.name}: expected the last layer to give one row of outputs, got ${got}`);
  }
  return output[0]!;
}
