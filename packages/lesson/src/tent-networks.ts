/**
 * The same zigzag of 2^n straight pieces by a deep network and by a wide one (Telgarsky 2016, "Benefits of depth in
 * neural networks"). The tent map composed n times takes two neurons per layer; a single hidden layer takes one neuron
 * per piece.
 */
import { add, fromArray, type HostBackend, matmul, relu } from '@lockstep/tensor';
import { valuesOf } from './values.ts';

interface Layer {
  /** [inputs, outputs] */
  readonly weight: readonly number[];
  readonly bias: readonly number[];
}

/** Builds `folds` hidden layers of two neurons, which apply `2 relu(x) - 4 relu(x - 1/2)` repeatedly. */
export function deepNetwork(folds: number): Layer[] {
  const bias = [0, -0.5];
  const rest = Array.from({ length: folds - 1 }, () => ({ weight: [2, 2, -4, -4], bias }));
  return [{ weight: [1, 1], bias }, ...rest, { weight: [2, -4], bias: [0] }];
}

/** Builds a network of one hidden layer, whose neuron k bends the line at `k / 2^folds`. */
export function wideNetwork(folds: number): Layer[] {
  const pieces = 2 ** folds;
  const bends = Array.from({ length: pieces }, (_, k) => (k === 0 ? pieces : k % 2 === 1 ? -2 * pieces : 2 * pieces));
  return [
    { weight: new Array(pieces).fill(1), bias: Array.from({ length: pieces }, (_, k) => -k / pieces) },
    { weight: bends, bias: [0] },
  ];
}

/** Counts weights and biases. */
export function parametersOf(network: readonly Layer[]): number {
  return network.reduce((sum, { weight, bias }) => sum + weight.length + bias.length, 0);
}

/** Computes the network's outputs at each of `xs`, with relu between the layers. */
export function outputsOf(backend: HostBackend, network: readonly Layer[], xs: readonly number[]): Float32Array {
  return valuesOf(backend, () =>
    network.reduce(
      (x, { weight, bias }, index) => {
        const sums = add(matmul(x, fromArray(backend, weight, [x.shape[1]!, bias.length])), fromArray(backend, bias));
        return index === network.length - 1 ? sums : relu(sums);
      },
      fromArray(backend, xs, [xs.length, 1]),
    ),
  );
}
