/** Writes each kind of layer with ONNX operators. */
import type { Layer } from '@lockstep/nn';
import type { Graph, Node } from './graph.ts';

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

export const writeLayer: WriteLayer<Layer['type']> = (graph, layer, ...rest) =>
  (layers[layer.type] as WriteLayer<Layer['type']>)(graph, layer, ...rest);

function windowOf(size: number, stride: number, padding: number): Node['attributes'] {
  return {
    kernel_shape: { ints: [size, size] },
    strides: { ints: [stride, stride] },
    pads: { ints: [padding, padding, padding, padding] },
  };
}
