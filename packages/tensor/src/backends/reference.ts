/** The reference backend: plain loops that define what every call means, to the bit. */
import type {
  Call,
  CrossEntropyCall,
  HostBackend,
  MapCall,
  MatmulCall,
  Program,
  ReduceCall,
  Storage,
} from '../backend.ts';
import { exp32, log32 } from '../float32.ts';
import { type Formula, type Primitive, topological } from '../formula.ts';
import { sizeOf } from '../shape.ts';
import { checkAllocation, checkCall, checkCopy, checkSlice } from './check.ts';

/** Arithmetic of separate multiplications and additions, each rounded to float32, in the orders of backend.ts. */
export const separateArithmetic = 'f32-mul-add.v1';

const { fround } = Math;

class ReferenceStorage implements Storage {
  readonly length: number;
  readonly #values: Float32Array;
  readonly #whole: ReferenceStorage;
  #freed = false;

  constructor(values: Float32Array, whole?: ReferenceStorage) {
    this.#values = values;
    this.#whole = whole ?? this;
    this.length = values.length;
  }

  get values(): Float32Array {
    if (this.#whole.#freed) throw new Error('reference: this storage was already freed');
    return this.#values;
  }

  slice(offset: number, length: number): ReferenceStorage {
    return new ReferenceStorage(this.values.subarray(offset, offset + length), this.#whole);
  }

  free(): void {
    if (this.#whole !== this) throw new Error('reference: a slice cannot be freed, only the whole storage');
    void this.values;
    this.#freed = true;
  }
}

function own(storage: Storage): ReferenceStorage {
  if (!(storage instanceof ReferenceStorage)) throw new TypeError('reference: this storage belongs to another backend');
  return storage;
}

function valuesOf(storage: Storage): Float32Array {
  return own(storage).values;
}

const scalarFunctions: Record<Primitive, (a: number, b: number, c: number) => number> = {
  neg: (a) => -a,
  exp: exp32,
  log: log32,
  add: (a, b) => fround(a + b),
  sub: (a, b) => fround(a - b),
  mul: (a, b) => fround(a * b),
  div: (a, b) => fround(a / b),
  maximum: (a, b) => Math.max(a, b),
  greaterEqual: (a, b) => (a >= b ? 1 : 0),
  equal: (a, b) => (a === b ? 1 : 0),
  where: (a, b, c) => (a !== 0 ? b : c),
};

/** A function that evaluates a formula, each shared node once, from what `inputs` holds when it is called. */
function evaluator(formula: Formula, inputs: readonly number[]): () => number {
  const nodes = topological(formula);
  const position = new Map(nodes.map((node, index) => [node, index]));
  const results = new Array<number>(nodes.length).fill(0);
  const steps = nodes.map((node): (() => number) => {
    switch (node.kind) {
      case 'constant':
        return () => node.value;
      case 'input':
        return () => inputs[node.index]!;
      case 'apply': {
        const [a = 0, b = 0, c = 0] = node.operands.map((operand) => position.get(operand)!);
        const scalar = scalarFunctions[node.primitive];
        return () => scalar(results[a]!, results[b]!, results[c]!);
      }
      default:
        return node satisfies never;
    }
  });
  return () => {
    for (let index = 0; index < steps.length; index++) results[index] = steps[index]!();
    return results[results.length - 1]!;
  };
}

function prepareMap(call: MapCall): () => void {
  const inputs = call.inputs.map(({ storage }) => valuesOf(storage));
  const current = inputs.map(() => 0);
  const evaluate = evaluator(call.formula, current);
  const output = valuesOf(call.output);
  const size = sizeOf(call.shape);
  return () => {
    const index = call.shape.map(() => 0);
    const offsets = inputs.map(() => 0);
    for (let element = 0; element < size; element++) {
      for (let which = 0; which < inputs.length; which++) current[which] = inputs[which]![offsets[which]!]!;
      output[element] = evaluate();
      for (let axis = call.shape.length - 1; axis >= 0; axis--) {
        const wraps = ++index[axis]! === call.shape[axis];
        const steps = wraps ? 1 - call.shape[axis]! : 1;
        for (let which = 0; which < inputs.length; which++) {
          offsets[which]! += steps * call.inputs[which]!.strides[axis]!;
        }
        if (!wraps) break;
        index[axis] = 0;
      }
    }
  };
}

/** Number of interleaved chains in the sum over a contiguous axis. */
const chains = 16;

function sumContiguous(values: Float32Array, start: number, length: number): number {
  const sums = new Float32Array(chains);
  for (let index = 0; index < length; index++) sums[index % chains]! += values[start + index]!;
  for (let half = chains / 2; half >= 1; half /= 2) {
    for (let chain = 0; chain < half; chain++) sums[chain]! += sums[chain + half]!;
  }
  return sums[0]!;
}

function indexOfLargest(values: Float32Array, start: number, length: number, stride: number): number {
  let best = 0;
  let largest = values[start]!;
  for (let index = 1; index < length && !Number.isNaN(largest); index++) {
    const value = values[start + index * stride]!;
    if (value > largest || Number.isNaN(value)) [best, largest] = [index, value];
  }
  return best;
}

function prepareReduce({ reduction, outer, length, inner, input, output }: ReduceCall): () => void {
  const source = valuesOf(input);
  const target = valuesOf(output);
  return () => {
    for (let row = 0; row < outer; row++) {
      for (let column = 0; column < inner; column++) {
        const start = row * length * inner + column;
        const at = row * inner + column;
        if (reduction === 'argmax') {
          target[at] = indexOfLargest(source, start, length, inner);
        } else if (inner === 1) {
          target[at] = sumContiguous(source, start, length);
        } else {
          let total = 0;
          for (let index = 0; index < length; index++) total = fround(total + source[start + index * inner]!);
          target[at] = total;
        }
      }
    }
  };
}

function prepareMatmul({ m, k, n, transposeLeft, transposeRight, ...storages }: MatmulCall): () => void {
  const left = valuesOf(storages.left);
  const right = valuesOf(storages.right);
  const output = valuesOf(storages.output);
  const [leftRow, leftColumn] = transposeLeft ? [1, m] : [k, 1];
  const [rightRow, rightColumn] = transposeRight ? [1, k] : [n, 1];
  return () => {
    output.fill(0, 0, m * n);
    for (let row = 0; row < m; row++) {
      for (let inner = 0; inner < k; inner++) {
        const factor = left[row * leftRow + inner * leftColumn]!;
        for (let column = 0; column < n; column++) {
          output[row * n + column]! += fround(factor * right[inner * rightRow + column * rightColumn]!);
        }
      }
    }
  };
}

function prepareCrossEntropy({ rows, classes, ...storages }: CrossEntropyCall): () => void {
  const logits = valuesOf(storages.logits);
  const labels = valuesOf(storages.labels);
  const losses = valuesOf(storages.losses);
  const gradient = storages.gradient === undefined ? new Float32Array(rows * classes) : valuesOf(storages.gradient);
  return () => {
    for (let row = 0; row < rows; row++) {
      const start = row * classes;
      const label = labels[row]!;
      if (!Number.isInteger(label) || label < 0 || label >= classes) {
        losses[row] = Number.NaN;
        gradient.fill(Number.NaN, start, start + classes);
        continue;
      }
      let largest = Number.NEGATIVE_INFINITY;
      for (let index = start; index < start + classes; index++) largest = Math.max(largest, logits[index]!);
      const atLabel = fround(logits[start + label]! - largest);
      let total = 0;
      for (let index = start; index < start + classes; index++) {
        const power = exp32(fround(logits[index]! - largest));
        gradient[index] = power;
        total = fround(total + power);
      }
      losses[row] = log32(total) - atLabel;
      for (let index = start; index < start + classes; index++) gradient[index]! /= total;
      gradient[start + label]! -= 1;
    }
  };
}

function prepareCall(call: Call): () => void {
  checkCall(call);
  switch (call.kind) {
    case 'map':
      return prepareMap(call);
    case 'reduce':
      return prepareReduce(call);
    case 'matmul':
      return prepareMatmul(call);
    case 'crossEntropy':
      return prepareCrossEntropy(call);
    default:
      return call satisfies never;
  }
}

class ReferenceBackend implements HostBackend {
  readonly name = 'reference';
  readonly arithmetic = separateArithmetic;

  allocate(length: number): Storage {
    checkAllocation(length);
    return new ReferenceStorage(new Float32Array(length));
  }

  slice(storage: Storage, offset: number, length: number): Storage {
    checkSlice(storage, offset, length);
    return own(storage).slice(offset, length);
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    valuesOf(storage).set(values);
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    const values = valuesOf(storage);
    const rounded = fround(divisor);
    for (let index = 0; index < bytes.length; index++) values[index] = bytes[index]! / rounded;
  }

  async download(storage: Storage): Promise<Float32Array> {
    return valuesOf(storage).slice();
  }

  free(storage: Storage): void {
    own(storage).free();
  }

  prepare(calls: readonly Call[]): Program {
    const steps = calls.map(prepareCall);
    return {
      run: () => {
        for (const step of steps) step();
      },
      dispose: () => {},
    };
  }

  view(storage: Storage): Float32Array {
    return valuesOf(storage);
  }

  allFinite(storage: Storage): boolean {
    return valuesOf(storage).every(Number.isFinite);
  }
}

/** Opens the reference backend, which every engine has. */
export function createReferenceBackend(): HostBackend {
  return new ReferenceBackend();
}
