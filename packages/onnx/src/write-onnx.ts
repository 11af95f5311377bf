/** Writes a model with its weights as an ONNX file: each kind of layer with ONNX operators. */
import type { SampleField, Standardization } from '@lockstep/data';
import { type Layer, layerShapes, type Model, outputCount, parseDescription, torchTensors } from '@lockstep/nn';
import type { Shape } from '@lockstep/tensor';
import { encodeModel, Graph, type Node, type Port } from './graph.ts';

type LayerOf<Type extends Layer['type']> = Extract<Layer, { readonly type: Type }>;

/** Adds a layer's nodes to the graph. @returns the name of the layer's value, or `input` if the layer does nothing */
type WriteLayer<Type extends Layer['type']> = (
  graph: Graph,
  layer: LayerOf<Type>,
  input: string,
  parameters: readonly string[],
) => string;

/**
 * One writer for each layer of `@lockstep/nn`, which the type requires. Images are [n, channels, height, width],
 * parameters in PyTorch's shapes.
 */
const layers: { readonly [Type in Layer['type']]: WriteLayer<Type> } = {
  dense: (graph, _, input, parameters) => graph.node('Gemm', [input, ...parameters], { transB: { int: 1 } }),
  conv2d: (graph, { kernel, stride = 1, padding = 0 }, input, parameters) =>
    graph.node('Conv', [input, ...parameters], windowOf(kernel, stride, padding)),
  maxPool2d: (graph, { window, stride = window, padding = 0 }, input) =>
    graph.node('MaxPool', [input], windowOf(window, stride, padding)),
  averagePool2d: (graph, { window, stride = window, padding = 0 }, input) =>
    graph.node('AveragePool', [input], { ...windowOf(window, stride, padding), count_include_pad: { int: 1 } }),
  flatten: (graph, _, input) => graph.node('Flatten', [input], { axis: { int: 1 } }),
  // Dropout is active only in training.
  dropout: (_, __, input) => input,
  relu: (graph, _, input) => graph.node('Relu', [input]),
  leakyRelu: (graph, { slope = 0.01 }, input) => graph.node('LeakyRelu', [input], { alpha: { float: slope } }),
  // x (1 + erf(x / sqrt(2))) / 2: ONNX has a Gelu operator only from opset 20 on.
  gelu(graph, _, input) {
    const error = graph.node('Erf', [graph.node('Mul', [input, graph.scalar(Math.fround(Math.SQRT1_2))])]);
    const twice = graph.node('Mul', [input, graph.node('Add', [error, graph.scalar(1)])]);
    return graph.node('Mul', [twice, graph.scalar(0.5)]);
  },
  sigmoid: (graph, _, input) => graph.node('Sigmoid', [input]),
  tanh: (graph, _, input) => graph.node('Tanh', [input]),
  softplus: (graph, _, input) => graph.node('Softplus', [input]),
  softsign: (graph, _, input) => graph.node('Softsign', [input]),
};

const writeLayer: WriteLayer<Layer['type']> = (graph, layer, ...rest) =>
  (layers[layer.type] as WriteLayer<Layer['type']>)(graph, layer, ...rest);

function windowOf(size: number, stride: number, padding: number): Node['attributes'] {
  return {
    kernel_shape: { ints: [size, size] },
    strides: { ints: [stride, stride] },
    pads: { ints: [padding, padding, padding, padding] },
  };
}

/**
 * Encodes a model as an ONNX file of opset 17.
 * The input is float32 [N, channels, height, width] if the model takes [height, width, channels], else [N, ...input].
 * Its name is `images` for pictures and bytes, else `samples`. A model that was trained on bytes takes byte / 255. The
 * output is `logits`, [N, classes], before the softmax, or `values`, [N, values].
 * @param parameters [parameterCount], in model order
 * @param metadata the model file's own metadata, which goes into the ONNX file's metadata
 */
export function writeOnnx(
  model: Model,
  parameters: Float32Array,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const graph = new Graph();
  const tensors = torchTensors(model, parameters);
  graph.initializers.push(...tensors);
  const shapes = layerShapes(model);
  const { samples, targets } = parseDescription({ ...metadata, model: JSON.stringify(model) });
  const inputName = model.input.length === 3 || samples.role === 'scaled' ? 'images' : 'samples';
  let value = inputName;
  /** Shape of the image that was flattened, as long as its values are in ONNX's order. */
  let image: Shape | undefined;
  for (const [index, layer] of model.layers.entries()) {
    graph.enter(`${index}.${layer.type}`);
    const own = tensors.map(({ name }) => name).filter((name) => name.startsWith(`${index}.`));
    value = writeLayer(graph, layer, value, own);
    if (layer.type === 'flatten' && shapes[index]!.length === 3) image = shapes[index];
    // PyTorch's weights of a dense layer take a flattened image channel by channel, as in ONNX.
    if (layer.type === 'dense') image = undefined;
  }
  if (image) value = pixelByPixel(graph, value, image);
  if (targets.standardization) value = restored(graph, value, targets.standardization);
  const isScores = targets.role === 'index';
  const outputName = isScores ? 'logits' : 'values';
  graph.node('Identity', [value], {}, outputName);
  const description = inputDescription(model.input, samples);
  const input: Port = { name: inputName, shape: inputShape(model.input), description };
  const output: Port = {
    name: outputName,
    shape: [outputCount(model)],
    description: isScores ? 'a score for each class, before the softmax' : targets.names.join(', '),
  };
  const about = { model: JSON.stringify(model), ...metadata };
  return encodeModel({ name: model.name, graph, input, output, version: metadata['lockstep'] ?? '', metadata: about });
}

/** Reorders scores that are a flattened image from ONNX's channel-by-channel order to the model's order. */
function pixelByPixel(graph: Graph, value: string, [height, width, channels]: Shape): string {
  graph.enter('classes');
  const image = graph.node('Reshape', [value, graph.integers([-1, channels!, height!, width!])]);
  const turned = graph.node('Transpose', [image], { perm: { ints: [0, 2, 3, 1] } });
  return graph.node('Flatten', [turned], { axis: { int: 1 } });
}

/** Converts standardized values back to their original unit. */
function restored(graph: Graph, value: string, { mean, deviation }: Standardization): string {
  graph.enter('standardization');
  return graph.node('Add', [graph.node('Mul', [value, graph.scalar(deviation)]), graph.scalar(mean)]);
}

function inputShape(input: Shape): Shape {
  const [height, width, channels] = input;
  return input.length === 3 ? [channels!, height!, width!] : input;
}

function inputDescription(input: Shape, { role }: SampleField): string {
  const order = input.length === 3 ? 'images as [N, channels, height, width]' : 'samples, one after another';
  return `${order}; ${role === 'scaled' ? 'values from 0 to 1: a byte / 255' : 'values as in training'}`;
}
