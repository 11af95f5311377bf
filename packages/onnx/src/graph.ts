/** An ONNX graph as plain data, built node by node. */
import type { Shape } from '@lockstep/tensor';

export type Attribute = { readonly int: number } | { readonly ints: readonly number[] } | { readonly float: number };

export interface Node {
  /** Operator, such as `Gemm`. */
  readonly type: string;
  /** Names of values. */
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A constant of the graph. */
export type Initializer =
  | { readonly name: string; readonly shape: Shape; readonly values: Float32Array }
  | { readonly name: string; readonly integers: readonly number[] };

/** An input or output: float32, any number of samples of this shape. */
export interface Port {
  readonly name: string;
  readonly shape: Shape;
  readonly description: string;
}

export class Graph {
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
    this.nodes.push({ type, inputs, output, attributes });
    return output;
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
