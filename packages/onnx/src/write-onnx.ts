/** Writes a model with its weights as an ONNX file: each op of its forward pass as ONNX operators. */
import type { SampleField, Standardization } from '@lockstep/data';
import type { FeatureColumn } from '@lockstep/data/readers';
import {
  checkOps,
  embeddingOf,
  type Model,
  type OpTable,
  parameterLayout,
  parseDescription,
  predictsPositions,
  recordPrediction,
  replay,
  sameLayout,
  type Tape,
  type TorchLayout,
  torchTensors,
} from '@lockstep/nn';
import type { MatmulOptions, Pair, Range, ReduceOptions, Shape, Tensor, WindowOptions } from '@lockstep/tensor';
import { encodeModel, type Node, OnnxGraph, type Port } from './graph.ts';

/** A named value of the graph. */
interface Value {
  readonly name: string;
  /** Our shape; the first axis of a value that depends on the input counts samples. */
  readonly shape: Shape;
  /** Order in which it is stored: ONNX has images channel by channel, and a parameter is stored as in PyTorch. */
  readonly layout: TorchLayout;
  readonly isParameter?: true;
  /** The node of a product that nothing else reads, to which a bias may be added. */
  readonly product?: Node;
}

/** Returns the layout; values whose axes keep their order are plain, whatever their view is. */
function layoutOf(view: Shape, order: readonly number[], shape: Shape): TorchLayout {
  return order.every((from, axis) => from === axis) ? sameLayout(shape) : { view, order, shape };
}

/** Layout of images [n, height, width, channels] as [n, channels, height, width]. */
function channelsFirst([n, height, width, channels]: Shape): TorchLayout {
  const view = [n!, height!, width!, channels!];
  return { view, order: [0, 3, 1, 2], shape: [n!, channels!, height!, width!] };
}

function permuted({ view, order }: Pick<TorchLayout, 'view' | 'order'>): Shape {
  return order.map((axis) => view[axis]!);
}

function isSame(left: TorchLayout, right: TorchLayout): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** Elementwise ops whose operator has the same name, with a capital letter. */
const sameNames = [
  'abs',
  'div',
  'exp',
  'log',
  'mul',
  'neg',
  'pow',
  'relu',
  'sigmoid',
  'softplus',
  'softsign',
  'sqrt',
  'sub',
  'tanh',
] as const;

/** Writes ops as nodes of a graph. */
class OpWriter {
  readonly #graph: OnnxGraph;
  readonly #reads: ReadonlyMap<unknown, number>;
  /** The output of the op that is being written. */
  #output: Tensor | undefined;

  /** @param tape its ops are written in order, each announced by `begin` */
  constructor(graph: OnnxGraph, tape: Tape) {
    this.#graph = graph;
    const reads = new Map<unknown, number>();
    for (const arg of [...tape.ops.flatMap(({ args }) => args.flat()), ...tape.outputs]) {
      reads.set(arg, (reads.get(arg) ?? 0) + 1);
    }
    this.#reads = reads;
  }

  /** Names the nodes that follow after the op's layer. */
  begin({ layer, name, output }: Tape['ops'][number]): void {
    this.#graph.enter(layer ? `${layer.path}.${layer.layer.type}` : name);
    this.#output = output;
  }

  /** Returns the name of the value's copy in another layout, or its own name if it has that layout. */
  stored(value: Value, layout: TorchLayout = sameLayout(value.shape)): string {
    if (isSame(value.layout, layout)) return value.name;
    const own = value.layout;
    const inverse = own.order.map((_, axis) => own.order.indexOf(axis));
    const turned = this.#transposed(this.#reshaped(value.name, own.shape, permuted(own)), inverse);
    const viewed = this.#transposed(this.#reshaped(turned, own.view, layout.view), layout.order);
    return this.#reshaped(viewed, permuted(layout), layout.shape);
  }

  #reshaped(name: string, from: Shape, to: Shape): string {
    if (from.join() === to.join()) return name;
    return this.#graph.node('Reshape', [name, this.#graph.integers([-1, ...to.slice(1)])]);
  }

  #transposed(name: string, order: readonly number[]): string {
    if (order.every((from, axis) => from === axis)) return name;
    return this.#graph.node('Transpose', [name], { perm: { ints: order } });
  }

  /** Adds a node whose value is the output of the current op, in our own order by default. */
  #value(type: string, inputs: readonly string[], attributes: Node['attributes'] = {}, layout?: TorchLayout): Value {
    const { shape } = this.#output!;
    return { name: this.#graph.node(type, inputs, attributes), shape, layout: layout ?? sameLayout(shape) };
  }

  /** Marks the value of the last node as a product, if the current op's output is read once. */
  #product(value: Value): Value {
    return this.#reads.get(this.#output) === 1 ? { ...value, product: this.#graph.nodes.at(-1)! } : value;
  }

  /** Applies nodes to each element; numbers are constants. If all values have the same layout, so has the result. */
  #elementwise(operands: readonly (Value | number)[], write: (...names: string[]) => string): Value {
    const { shape } = this.#output!;
    const values = operands.filter((operand) => typeof operand !== 'number');
    const { layout } = values[0]!;
    const isAlike = values.every((value) => isSame(value.layout, layout));
    const names = operands.map((operand) => {
      if (typeof operand === 'number') return this.#graph.scalar(operand);
      return isAlike ? operand.name : this.stored(operand);
    });
    return { name: write(...names), shape, layout: isAlike ? layout : sameLayout(shape) };
  }

  #operator(type: string, attributes: Node['attributes'] = {}) {
    return (...operands: readonly (Value | number)[]): Value =>
      this.#elementwise(operands, (...names) => this.#graph.node(type, names, attributes));
  }

  /** Adds; a bias becomes an input of the product's node. */
  #sum(left: Value | number, right: Value | number): Value {
    const isBias = typeof right === 'object' && right.isParameter && right.shape.length === 1;
    if (typeof left === 'number' || !left.product || !isBias || left.shape.at(-1) !== right.shape[0]) {
      return this.#operator('Add')(left, right);
    }
    left.product.inputs.push(right.name);
    return { name: left.name, shape: left.shape, layout: left.layout };
  }

  #matmul(left: Value, right: Value, { transposeLeft = false, transposeRight = false }: MatmulOptions): Value {
    const { view, order, shape } = right.layout;
    const isWeight = right.isParameter && right.shape.length === 2 && order[0] === view.length - 1;
    if (isWeight && left.shape.length === 2 && !transposeLeft && !transposeRight) {
      // The weight's rows may be in another order than ours, which the left operand then follows.
      const rows = [0, ...order.slice(1).map((axis) => axis + 1)];
      const layout = layoutOf([left.shape[0]!, ...view.slice(0, -1)], rows, left.shape);
      const inputs = [this.stored(left, layout), this.stored(right, { view, order, shape })];
      return this.#product(this.#value('Gemm', inputs, { transB: { int: 1 } }));
    }
    const read = (value: Value, isTransposed: boolean): string => {
      const axes = [...value.shape.keys()];
      const swapped = [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!];
      return isTransposed && axes.length > 1 ? this.#transposed(this.stored(value), swapped) : this.stored(value);
    };
    return this.#value('MatMul', [read(left, transposeLeft), read(right, transposeRight)]);
  }

  #reshape(x: Value): Value {
    const { shape } = this.#output!;
    const { view, order } = x.layout;
    if (shape.length === 2 && shape[0] === x.shape[0] && order[0] === 0) {
      return this.#value('Flatten', [x.name], { axis: { int: 1 } }, layoutOf(view, order, shape));
    }
    return { name: this.#reshaped(this.stored(x), x.shape, shape), shape, layout: sameLayout(shape) };
  }

  /** Adds a node over windows of images; `inputs` follow the images. */
  #windows(type: string, images: Value, attributes: Node['attributes'], ...inputs: readonly string[]): Value {
    const first = this.stored(images, channelsFirst(images.shape));
    return this.#value(type, [first, ...inputs], attributes, channelsFirst(this.#output!.shape));
  }

  #reduce(type: string, x: Value, { axes = [...x.shape.keys()], keepAxes = false }: ReduceOptions): Value {
    const keepdims = { int: Number(keepAxes) };
    // Opset 17 has the axes of a sum as an input, and those of the other reductions as an attribute.
    return type === 'ReduceSum'
      ? this.#value(type, [this.stored(x), this.#graph.integers(axes)], { keepdims })
      : this.#value(type, [this.stored(x)], { keepdims, axes: { ints: axes } });
  }

  #slice(x: Value, ranges: readonly Range[]): Value {
    // Without an end, a range reaches to the last of any number.
    const lists = [
      ranges.map(({ start = 0 }) => start),
      ranges.map(({ end = 2 ** 31 - 1 }) => end),
      [...ranges.keys()],
      ranges.map(({ step = 1 }) => step),
    ];
    return this.#value('Slice', [this.stored(x), ...lists.map((list) => this.#graph.integers(list))]);
  }

  /** ONNX has a Gelu operator only from opset 20 on. */
  #gelu(x: Value, approximate: 'none' | 'tanh'): Value {
    const graph = this.#graph;
    const op = (type: string, left: string, right: string | number): string =>
      graph.node(type, [left, typeof right === 'number' ? graph.scalar(Math.fround(right)) : right]);
    return this.#elementwise([x], (name) => {
      const cubic = (): string => op('Mul', name, op('Add', op('Mul', op('Mul', name, name), 0.044715), 1));
      // x (1 + erf(x / sqrt(2))) / 2, or x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
      const inner =
        approximate === 'none'
          ? graph.node('Erf', [op('Mul', name, Math.SQRT1_2)])
          : graph.node('Tanh', [op('Mul', cubic(), Math.sqrt(2 / Math.PI))]);
      return op('Mul', op('Mul', name, op('Add', inner, 1)), 0.5);
    });
  }

  readonly table: OpTable<Value> = {
    ...(Object.fromEntries(
      sameNames.map((name) => [name, this.#operator(`${name[0]!.toUpperCase()}${name.slice(1)}`)]),
    ) as Pick<OpTable<Value>, (typeof sameNames)[number]>),
    constant: (values, shape) => ({ name: this.#graph.constant(values, shape), shape, layout: sameLayout(shape) }),
    add: (left, right) => this.#sum(left, right),
    maximum: this.#operator('Max'),
    minimum: this.#operator('Min'),
    leakyRelu: (x, slope = 0.01) => this.#operator('LeakyRelu', { alpha: { float: slope } })(x),
    gelu: (x, { approximate = 'none' } = {}) => this.#gelu(x, approximate),
    matmul: (left, right, options = {}) => this.#matmul(left, right, options),
    conv2d: (images, kernel, options = {}) => {
      const size = kernel.shape.slice(0, 2) as [number, number];
      const order = [3, 2, 0, 1];
      const shape = permuted({ view: kernel.shape, order });
      const weight = this.stored(kernel, { view: kernel.shape, order, shape });
      return this.#product(this.#windows('Conv', images, windowOf(size, options), weight));
    },
    maxPool2d: (images, window, options = {}) =>
      this.#windows('MaxPool', images, windowOf(window, { stride: window, ...options })),
    averagePool2d: (images, window, options = {}) => {
      const attributes = windowOf(window, { stride: window, ...options });
      return this.#windows('AveragePool', images, { ...attributes, count_include_pad: { int: 1 } });
    },
    reshape: (x) => this.#reshape(x),
    slice: (x, ranges) => this.#slice(x, ranges),
    concat: (values, axis = 0) => {
      const names = values.map((value) => this.stored(value));
      return this.#value('Concat', names, { axis: { int: axis } });
    },
    indexSelect: (x, indices, axis = 0) => {
      const whole = this.#graph.cast(this.stored(indices), 'int64');
      return this.#value('Gather', [this.stored(x), whole], { axis: { int: axis } });
    },
    notEqual: (left, right) =>
      this.#elementwise([left, right], (...names) => {
        const isEqual = this.#graph.node('Equal', names);
        return this.#graph.cast(this.#graph.node('Not', [isEqual]), 'float');
      }),
    where: (condition, whenTrue, whenFalse) =>
      this.#elementwise([condition, whenTrue, whenFalse], (first, ...others) =>
        this.#graph.node('Where', [this.#graph.cast(first!, 'bool'), ...others]),
      ),
    permute: (x, order) => this.#value('Transpose', [this.stored(x)], { perm: { ints: order } }),
    sum: (x, options = {}) => this.#reduce('ReduceSum', x, options),
    max: (x, options = {}) => this.#reduce('ReduceMax', x, options),
    min: (x, options = {}) => this.#reduce('ReduceMin', x, options),
    softmax: (x, { axis = -1, temperature = 1, causal = false } = {}) => {
      const graph = this.#graph;
      const own = this.stored(x);
      const scaled = temperature === 1 ? own : graph.node('Div', [own, graph.scalar(temperature)]);
      const [queries, keys] = x.shape.slice(-2) as [number, number];
      const seen = causal ? graph.node('Add', [scaled, graph.causalMask(queries, keys)]) : scaled;
      return this.#value('Softmax', [seen], { axis: { int: axis } });
    },
    layerNorm: (x, { epsilon = 1e-5 } = {}) => {
      const attributes = { axis: { int: -1 }, epsilon: { float: epsilon } };
      return this.#value('LayerNormalization', [this.stored(x), this.#graph.ones(x.shape.at(-1)!)], attributes);
    },
  };
}

function windowOf(size: Pair, { stride = 1, padding = 0 }: WindowOptions): Node['attributes'] {
  const [kernel, strides, pads] = [size, stride, padding].map((pair) =>
    typeof pair === 'number' ? [pair, pair] : pair,
  );
  return { kernel_shape: { ints: kernel! }, strides: { ints: strides! }, pads: { ints: [...pads!, ...pads!] } };
}

/** Writes the ops of a tape. @param inputs name and layout of each input. @returns the name of the output's value */
export function writeOps(graph: OnnxGraph, tape: Tape, inputs: readonly Omit<Value, 'shape'>[]): string {
  const writer = new OpWriter(graph, tape);
  checkOps(tape, writer.table, 'ONNX');
  const values = inputs.map((value, index) => ({ ...value, shape: tape.inputs[index]!.shape }));
  const [output] = replay(tape, writer.table, values, (op) => writer.begin(op));
  graph.enter('output');
  return writer.stored(output!);
}

/**
 * Encodes a model as an ONNX file of opset 17.
 * A model of a table takes each column as an input of its name, as it is in the table: numbers as float64 [N, 1], NaN
 * if missing; categories as strings [N, 1], '' if missing. Another model takes float32 [N, channels, height, width] if
 * its input is [height, width, channels], else [N, ...input]. That input's name is `images` for pictures and bytes, else
 * `samples`. A model that was trained on bytes takes byte / 255. A model of text takes `input_ids`, int64 [N, positions].
 * The output is `logits`, [N, classes] or for next tokens [N, positions, tokens], before the softmax, or `values`,
 * [N, values]; an underscore follows if a column has that name.
 * @param parameters [parameterCount], in model order
 * @param metadata the model file's own metadata, which goes into the ONNX file's metadata
 */
export function writeOnnx(
  model: Model,
  parameters: Float32Array,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const { samples, targets, reading } = parseDescription({ ...metadata, model: JSON.stringify(model) });
  const columns = reading?.type === 'rows' && !embeddingOf(model) ? reading.columns : undefined;
  const graph = new OnnxGraph(columns?.map(({ name }) => name));
  for (const tensor of torchTensors(model, parameters)) {
    graph.initializers.push({ ...tensor, name: graph.free(tensor.name) });
  }
  // The nodes are for any number of samples. A constant that a layer makes for its one sample is repeated for each.
  const tape = recordPrediction(model, 1);
  const { shape } = tape.inputs[0]!;
  const layout = shape.length === 4 ? channelsFirst(shape) : sameLayout(shape);
  const weights = parameterLayout(model).map(
    ({ name, torch }) => ({ name: graph.free(name), layout: torch, isParameter: true }) as const,
  );
  const inputs: readonly Port[] = columns?.map(columnPort) ?? [samplePort(model, layout, samples)];
  const input = columns ? encodedRows(graph, columns, model.input) : sampleValue(graph, inputs[0]!);
  let value = writeOps(graph, tape, [{ name: input, layout }, ...weights]);
  if (targets.standardization) value = restored(graph, value, targets.standardization);
  const isScores = targets.role !== 'value';
  const scored = predictsPositions(model) ? 'next token' : 'class';
  const output: Port = {
    name: graph.node('Identity', [value], {}, isScores ? 'logits' : 'values'),
    shape: tape.outputs[0]!.shape.slice(1),
    description: isScores ? `a score for each ${scored}, before the softmax` : targets.names.join(', '),
  };
  const about = { model: JSON.stringify(model), ...metadata };
  return encodeModel({ name: model.name, graph, inputs, output, version: metadata['lockstep'] ?? '', metadata: about });
}

function columnPort({ type, name, missing }: FeatureColumn): Port {
  const isNumber = type === 'number';
  const kind = isNumber ? 'a number' : 'one of the categories in the metadata';
  const blank = missing === undefined ? '' : `; ${isNumber ? 'NaN' : 'an empty string'} if missing`;
  return { name, shape: [1], dtype: isNumber ? 'double' : 'string', description: `${kind}${blank}` };
}

type NumberColumn = Extract<FeatureColumn, { type: 'number' }>;

/** Adds the encoding of a table's columns as samples. @returns the name of its value, [N, ...input] */
function encodedRows(graph: OnnxGraph, columns: readonly FeatureColumn[], input: Shape): string {
  graph.enter('rows');
  const parts: string[] = [];
  for (let at = 0; at < columns.length; ) {
    const column = columns[at]!;
    if (column.type === 'category') {
      parts.push(encodedCategory(graph, column));
      at += 1;
      continue;
    }
    const end = columns.findIndex(({ type }, index) => index > at && type === 'category');
    const numbers = columns.slice(at, end === -1 ? undefined : end) as NumberColumn[];
    parts.push(encodedNumbers(graph, numbers));
    at += numbers.length;
  }
  const rows = concatenated(graph, parts);
  return input.length === 1 ? rows : graph.node('Reshape', [rows, graph.integers([-1, ...input])]);
}

function concatenated(graph: OnnxGraph, parts: readonly string[]): string {
  return parts.length === 1 ? parts[0]! : graph.node('Concat', parts, { axis: { int: 1 } });
}

/** Computes in float64, as the reader does. A missing number that nothing replaces stays NaN, and so do all outputs. */
function encodedNumbers(graph: OnnxGraph, columns: readonly NumberColumn[]): string {
  const row = (numberOf: (column: NumberColumn) => number): string =>
    graph.constant(Float64Array.from(columns, numberOf), [1, columns.length]);
  let value = concatenated(
    graph,
    columns.map(({ name }) => name),
  );
  if (columns.some(({ missing }) => missing !== undefined)) {
    const fill = row(({ missing }) => missing ?? Number.NaN);
    value = graph.node('Where', [graph.node('IsNaN', [value]), fill, value]);
  }
  const centered = graph.node('Sub', [value, row(({ mean }) => mean)]);
  return graph.cast(graph.node('Div', [centered, row(({ deviation }) => deviation)]), 'float');
}

/** A category that the model does not know gets the index -1, which the one-hot encoder refuses. */
function encodedCategory(
  graph: OnnxGraph,
  { name, categories, missing }: Extract<FeatureColumn, { type: 'category' }>,
): string {
  const known = [...categories.keys()];
  const isFilled = missing !== undefined && !categories.includes('');
  const index = graph.tableNode('LabelEncoder', name, {
    keys_strings: { strings: isFilled ? [...categories, ''] : categories },
    values_int64s: { ints: isFilled ? [...known, categories.indexOf(missing)] : known },
    default_int64: { int: -1 },
  });
  const ones = graph.tableNode('OneHotEncoder', index, { cats_int64s: { ints: known }, zeros: { int: 0 } });
  return graph.node('Flatten', [ones], { axis: { int: 1 } });
}

/** Converts standardized values back to their original unit. */
function restored(graph: OnnxGraph, value: string, { mean, deviation }: Standardization): string {
  graph.enter('standardization');
  return graph.node('Add', [graph.node('Mul', [value, graph.scalar(deviation)]), graph.scalar(mean)]);
}

/** The input of a model that takes no rows of a table. */
function samplePort(model: Model, { shape }: TorchLayout, { role }: SampleField): Port {
  const embedding = embeddingOf(model);
  if (embedding) {
    const description = `tokens from 0 to ${embedding.tokens - 1}, as the vocabulary numbers them`;
    return { name: 'input_ids', shape: shape.slice(1), dtype: 'int64', description };
  }
  const isImage = model.input.length === 3;
  const order = isImage ? 'images as [N, channels, height, width]' : 'samples, one after another';
  return {
    name: isImage || role === 'scaled' ? 'images' : 'samples',
    shape: shape.slice(1),
    description: `${order}; ${role === 'scaled' ? 'values from 0 to 1: a byte / 255' : 'values as in training'}`,
  };
}

/** Returns the name of an input's value as the ops take it: tokens as floats, which are exact. */
function sampleValue(graph: OnnxGraph, { name, dtype }: Port): string {
  graph.enter('input');
  return dtype === 'int64' ? graph.cast(name, 'float') : name;
}
