/** Writes a model with its weights as an ONNX file. */
import {
  layerShapes,
  type Model,
  outputCount,
  parseDescription,
  type Standardization,
  torchTensors,
} from '@lockstep/nn';
import type { Shape } from '@lockstep/tensor';
import { encodeModel } from './encode.ts';
import { Graph, type Port } from './graph.ts';
import { writeLayer } from './layers.ts';

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
  const { scaling, targets } = parseDescription({ ...metadata, model: JSON.stringify(model) });
  const inputName = model.input.length === 3 || scaling.type === 'byte' ? 'images' : 'samples';
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
  const isScores = targets.type === 'classes';
  const outputName = isScores ? 'logits' : 'values';
  graph.node('Identity', [value], {}, outputName);
  const description = inputDescription(model.input, scaling);
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

function inputDescription(input: Shape, scaling: ReturnType<typeof parseDescription>['scaling']): string {
  const order = input.length === 3 ? 'images as [N, channels, height, width]' : 'samples, one after another';
  return `${order}; ${scaling.type === 'byte' ? 'values from 0 to 1: a byte / 255' : 'values as in training'}`;
}
