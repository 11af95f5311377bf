/**
 * An ONNX graph as plain data, built node by node, and its encoding. Field numbers are those of onnx.proto, IR version 8:
 * https://github.com/onnx/onnx/blob/v1.12.0/onnx/onnx.proto
 */
import type { Shape } from '@lockstep/tensor';
import { PbfWriter } from 'pbf';

type Attribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly strings: readonly string[] };

export interface Node {
  /** Operator, such as `Gemm`. */
  readonly type: string;
  /** Names of values. */
  readonly inputs: string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** The set of operators that has this one; ONNX's own if omitted. */
  readonly domain?: typeof tableDomain | undefined;
}

/** Operators for tables, which are not among ONNX's own. */
const tableDomain = 'ai.onnx.ml';

/** A constant of the graph. */
type Initializer =
  | { readonly name: string; readonly shape: Shape; readonly values: Float32Array | Float64Array }
  | { readonly name: string; readonly integers: readonly number[] };

/** An input or output: any number of samples of this shape. */
export interface Port {
  readonly name: string;
  readonly shape: Shape;
  readonly description: string;
  /** Default `float`. */
  readonly dtype?: keyof typeof dataTypes;
}

/** The power of a score with this addend is 0, also in formats whose least number is larger than float32's. */
const hidden = -1e9;

export class OnnxGraph {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];
  /** Prefix of value names, which tells the layer that they come from. */
  #scope = '';
  readonly #taken: ReadonlySet<string>;

  /** @param taken names of inputs, which no other value may have */
  constructor(taken: Iterable<string> = []) {
    this.#taken = new Set(taken);
  }

  /** Returns the name, with underscores after it while an input has it. */
  free(name: string): string {
    return this.#taken.has(name) ? this.free(`${name}_`) : name;
  }

  /** Names the nodes that follow after a layer. */
  enter(scope: string): void {
    this.#scope = scope;
  }

  /** Adds a node. @returns the name of its value */
  node(
    type: string,
    inputs: readonly string[],
    attributes: Node['attributes'] = {},
    name = `${this.#scope}.${this.nodes.length}.${type}`,
    domain?: Node['domain'],
  ): string {
    const output = this.free(name);
    this.nodes.push({ type, inputs: [...inputs], output, attributes, domain });
    return output;
  }

  /** Adds a node with an operator for tables. @returns the name of its value */
  tableNode(type: string, input: string, attributes: Node['attributes']): string {
    return this.node(type, [input], attributes, undefined, tableDomain);
  }

  /** Adds a conversion of numbers. @returns the name of its value */
  cast(input: string, to: keyof typeof dataTypes): string {
    return this.node('Cast', [input], { to: { int: dataTypes[to] } });
  }

  /** Adds a constant. @returns its name */
  constant(values: Float32Array | Float64Array, shape: Shape): string {
    const name = this.free(`${this.#scope}.constant.${this.initializers.length}`);
    this.initializers.push({ name, shape, values });
    return name;
  }

  /** Adds a scalar constant, unless the graph has it already. @returns its name */
  scalar(value: number): string {
    return this.#shared({ name: `constant.${value}`, shape: [], values: Float32Array.of(value) });
  }

  /** Adds a row of ones, unless the graph has it already. @returns its name */
  ones(length: number): string {
    return this.#shared({
      name: `constant.ones[${length}]`,
      shape: [length],
      values: new Float32Array(length).fill(1),
    });
  }

  /**
   * Adds what hides scores of attention [queries, keys] if it is added to them, unless the graph has it already: the
   * last query sees all keys, the one before it all but the last key, and so on.
   * @returns its name
   */
  causalMask(queries: number, keys: number): string {
    const values = Float32Array.from({ length: queries * keys }, (_, at) =>
      (at % keys) - Math.floor(at / keys) > keys - queries ? hidden : 0,
    );
    return this.#shared({ name: `constant.causal[${queries},${keys}]`, shape: [queries, keys], values });
  }

  /** Adds a list of integers, such as the shape of a reshape, unless the graph has it already. @returns its name */
  integers(integers: readonly number[]): string {
    return this.#shared({ name: `constant.[${integers}]`, integers });
  }

  #shared(initializer: Initializer): string {
    const name = this.free(initializer.name);
    if (!this.initializers.some((other) => other.name === name)) this.initializers.push({ ...initializer, name });
    return name;
  }
}

interface OnnxModel {
  readonly name: string;
  readonly graph: OnnxGraph;
  readonly inputs: readonly Port[];
  readonly output: Port;
  /** Version of the program that wrote the file. */
  readonly version: string;
  readonly metadata: Readonly<Record<string, string>>;
}

const irVersion = 8;
/** Version of each set of operators. */
const opsets = { '': 17, [tableDomain]: 3 } as const;
const dataTypes = { float: 1, int64: 7, string: 8, bool: 9, double: 11 };
const attributeTypes = { float: 1, int: 2, ints: 7, strings: 8 };

export function encodeModel(model: OnnxModel): Uint8Array {
  const file = new PbfWriter();
  file.writeVarintField(1, irVersion);
  file.writeStringField(2, 'lockstep');
  file.writeStringField(3, model.version);
  file.writeMessage(7, writeGraph, model);
  const domains = new Set<keyof typeof opsets>(['']);
  for (const { domain = '' } of model.graph.nodes) domains.add(domain);
  for (const domain of domains) file.writeMessage(8, writeOpset, domain);
  for (const entry of Object.entries(model.metadata)) file.writeMessage(14, writeEntry, entry);
  return file.finish();
}

function writeOpset(domain: keyof typeof opsets, message: PbfWriter): void {
  message.writeStringField(1, domain);
  message.writeVarintField(2, opsets[domain]);
}

function writeEntry([key, value]: readonly [string, string], message: PbfWriter): void {
  message.writeStringField(1, key);
  message.writeStringField(2, value);
}

function writeGraph({ name, graph, inputs, output }: OnnxModel, message: PbfWriter): void {
  for (const node of graph.nodes) message.writeMessage(1, writeNode, node);
  message.writeStringField(2, name);
  for (const initializer of graph.initializers) message.writeMessage(5, writeInitializer, initializer);
  for (const input of inputs) message.writeMessage(11, writePort, input);
  message.writeMessage(12, writePort, output);
}

function writeNode({ type, inputs, output, attributes, domain }: Node, message: PbfWriter): void {
  for (const input of inputs) message.writeStringField(1, input);
  message.writeStringField(2, output);
  message.writeStringField(3, output);
  message.writeStringField(4, type);
  for (const attribute of Object.entries(attributes)) message.writeMessage(5, writeAttribute, attribute);
  if (domain !== undefined) message.writeStringField(7, domain);
}

function writeAttribute([name, attribute]: readonly [string, Attribute], message: PbfWriter): void {
  message.writeStringField(1, name);
  if ('float' in attribute) {
    message.writeFloatField(2, attribute.float);
    message.writeVarintField(20, attributeTypes.float);
  } else if ('int' in attribute) {
    message.writeVarintField(3, attribute.int);
    message.writeVarintField(20, attributeTypes.int);
  } else if ('strings' in attribute) {
    for (const value of attribute.strings) message.writeStringField(9, value);
    message.writeVarintField(20, attributeTypes.strings);
  } else {
    for (const value of attribute.ints) message.writeVarintField(8, value);
    message.writeVarintField(20, attributeTypes.ints);
  }
}

function writeInitializer(initializer: Initializer, message: PbfWriter): void {
  const isFloat = 'values' in initializer;
  const shape = isFloat ? initializer.shape : [initializer.integers.length];
  for (const size of shape) message.writeVarintField(1, size);
  message.writeVarintField(2, dataTypes[dtypeOf(initializer)]);
  if (!isFloat) for (const value of initializer.integers) message.writeVarintField(7, value);
  message.writeStringField(8, initializer.name);
  if (!isFloat) return;
  // ONNX is little-endian, and so are the machines that Lockstep runs on.
  const { buffer, byteOffset, byteLength } = initializer.values;
  message.writeBytesField(9, new Uint8Array(buffer, byteOffset, byteLength));
}

function dtypeOf(initializer: Initializer): keyof typeof dataTypes {
  if (!('values' in initializer)) return 'int64';
  return initializer.values instanceof Float32Array ? 'float' : 'double';
}

function writePort({ name, description, ...port }: Port, message: PbfWriter): void {
  message.writeStringField(1, name);
  message.writeMessage(2, writeType, port);
  message.writeStringField(3, description);
}

/** Writes a TypeProto, whose tensor type has an element type and a shape. */
function writeType(port: Pick<Port, 'shape' | 'dtype'>, message: PbfWriter): void {
  message.writeMessage(1, writeTensorType, port);
}

function writeTensorType({ shape, dtype = 'float' }: Pick<Port, 'shape' | 'dtype'>, message: PbfWriter): void {
  message.writeVarintField(1, dataTypes[dtype]);
  message.writeMessage(2, writeShape, shape);
}

function writeShape(shape: Port['shape'], message: PbfWriter): void {
  message.writeMessage(1, (name, dimension) => dimension.writeStringField(2, name), 'N');
  for (const size of shape) message.writeMessage(1, (value, dimension) => dimension.writeVarintField(1, value), size);
}
