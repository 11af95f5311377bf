/**
 * An ONNX graph as plain data, built node by node, and its encoding. Field numbers are those of onnx.proto, IR version 8:
 * https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto
 */
import type { Shape } from '@lockstep/tensor';
import { PbfWriter } from 'pbf';

type Attribute = { readonly int: number } | { readonly ints: readonly number[] } | { readonly float: number };

export interface Node {
  /** Operator, such as `Gemm`. */
  readonly type: string;
  /** Names of values. */
  readonly inputs: string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A constant of the graph. */
type Initializer =
  | { readonly name: string; readonly shape: Shape; readonly values: Float32Array }
  | { readonly name: string; readonly integers: readonly number[] };

/** An input or output: float32, any number of samples of this shape. */
export interface Port {
  readonly name: string;
  readonly shape: Shape;
  readonly description: string;
}

export class OnnxGraph {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];
  /** Prefix of value names, which tells the layer that they come from. */
  #scope = '';

  /** Names the nodes that follow after a layer. */
  enter(scope: string): void {
    this.#scope = scope;
  }

  /** Adds a node. @returns the name of its value */
  node(type: string, inputs: readonly string[], attributes: Node['attributes'] = {}, name?: string): string {
    const output = name ?? `${this.#scope}.${this.nodes.length}.${type}`;
    this.nodes.push({ type, inputs: [...inputs], output, attributes });
    return output;
  }

  /** Adds a constant. @returns its name */
  constant(values: Float32Array, shape: Shape): string {
    const name = `${this.#scope}.constant.${this.initializers.length}`;
    this.initializers.push({ name, shape, values });
    return name;
  }

  /** Adds a scalar constant, unless the graph has it already. @returns its name */
  scalar(value: number): string {
    const name = `constant.${value}`;
    if (!this.#has(name)) this.initializers.push({ name, shape: [], values: Float32Array.of(value) });
    return name;
  }

  /** Adds a list of integers, such as the shape of a reshape, unless the graph has it already. @returns its name */
  integers(values: readonly number[]): string {
    const name = `constant.[${values}]`;
    if (!this.#has(name)) this.initializers.push({ name, integers: values });
    return name;
  }

  #has(name: string): boolean {
    return this.initializers.some((initializer) => initializer.name === name);
  }
}

interface OnnxModel {
  readonly name: string;
  readonly graph: OnnxGraph;
  readonly input: Port;
  readonly output: Port;
  /** Version of the program that wrote the file. */
  readonly version: string;
  readonly metadata: Readonly<Record<string, string>>;
}

const irVersion = 8;
const opset = 17;
const dataTypes = { float: 1, int64: 7 };
const attributeTypes = { float: 1, int: 2, ints: 7 };

export function encodeModel(model: OnnxModel): Uint8Array {
  const file = new PbfWriter();
  file.writeVarintField(1, irVersion);
  file.writeStringField(2, 'lockstep');
  file.writeStringField(3, model.version);
  file.writeMessage(7, writeGraph, model);
  file.writeMessage(8, writeOpset, opset);
  for (const entry of Object.entries(model.metadata)) file.writeMessage(14, writeEntry, entry);
  return file.finish();
}

function writeOpset(version: number, message: PbfWriter): void {
  message.writeStringField(1, '');
  message.writeVarintField(2, version);
}

function writeEntry([key, value]: readonly [string, string], message: PbfWriter): void {
  message.writeStringField(1, key);
  message.writeStringField(2, value);
}

function writeGraph({ name, graph, input, output }: OnnxModel, message: PbfWriter): void {
  for (const node of graph.nodes) message.writeMessage(1, writeNode, node);
  message.writeStringField(2, name);
  for (const initializer of graph.initializers) message.writeMessage(5, writeInitializer, initializer);
  message.writeMessage(11, writePort, input);
  message.writeMessage(12, writePort, output);
}

function writeNode({ type, inputs, output, attributes }: Node, message: PbfWriter): void {
  for (const input of inputs) message.writeStringField(1, input);
  message.writeStringField(2, output);
  message.writeStringField(3, output);
  message.writeStringField(4, type);
  for (const attribute of Object.entries(attributes)) message.writeMessage(5, writeAttribute, attribute);
}

function writeAttribute([name, attribute]: readonly [string, Attribute], message: PbfWriter): void {
  message.writeStringField(1, name);
  if ('float' in attribute) {
    message.writeFloatField(2, attribute.float);
    message.writeVarintField(20, attributeTypes.float);
  } else if ('int' in attribute) {
    message.writeVarintField(3, attribute.int);
    message.writeVarintField(20, attributeTypes.int);
  } else {
    for (const value of attribute.ints) message.writeVarintField(8, value);
    message.writeVarintField(20, attributeTypes.ints);
  }
}

function writeInitializer(initializer: Initializer, message: PbfWriter): void {
  const isFloat = 'values' in initializer;
  const shape = isFloat ? initializer.shape : [initializer.integers.length];
  for (const size of shape) message.writeVarintField(1, size);
  message.writeVarintField(2, isFloat ? dataTypes.float : dataTypes.int64);
  if (!isFloat) for (const value of initializer.integers) message.writeVarintField(7, value);
  message.writeStringField(8, initializer.name);
  if (!isFloat) return;
  // ONNX is little-endian, and so are the machines that Lockstep runs on.
  const { buffer, byteOffset, byteLength } = initializer.values;
  message.writeBytesField(9, new Uint8Array(buffer, byteOffset, byteLength));
}

function writePort({ name, description, ...port }: Port, message: PbfWriter): void {
  message.writeStringField(1, name);
  message.writeMessage(2, writeType, port);
  message.writeStringField(3, description);
}

/** Writes a TypeProto, whose tensor type has an element type and a shape. */
function writeType({ shape }: Pick<Port, 'shape'>, message: PbfWriter): void {
  message.writeMessage(1, writeTensorType, shape);
}

function writeTensorType(shape: Port['shape'], message: PbfWriter): void {
  message.writeVarintField(1, dataTypes.float);
  message.writeMessage(2, writeShape, shape);
}

function writeShape(shape: Port['shape'], message: PbfWriter): void {
  message.writeMessage(1, (name, dimension) => dimension.writeStringField(2, name), 'N');
  for (const size of shape) message.writeMessage(1, (value, dimension) => dimension.writeVarintField(1, value), size);
}
