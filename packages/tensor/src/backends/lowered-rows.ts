/** Softmax, layer normalization and their gradients as maps and reductions, for backends without kernels for them. */
import type {
  KernelCall,
  LayerNormCall,
  LayerNormGradientCall,
  ReduceCall,
  SoftmaxCall,
  SoftmaxGradientCall,
  Storage,
  StridedView,
} from '../backend.ts';
import { apply, type Formula, input } from '../formula.ts';
import { contiguousStrides } from '../shape.ts';
import { visibleColumns } from './calls.ts';

type RowCall = SoftmaxCall | SoftmaxGradientCall | LayerNormCall | LayerNormGradientCall;

/** Allocates values that live as long as the calls may run, and fills them if values are given. */
type Scratch = (length: number, values?: Float32Array) => Storage;

/** Less than any value of a row; a literal in GPU languages, unlike -infinity. */
const lowest = -(2 ** 127);

/** Returns calls that compute a call on rows, with its bits if a row has at most 65,536 values; or the call itself. */
export function loweredRows(call: KernelCall, scratch: Scratch): readonly KernelCall[] {
  switch (call.kind) {
    case 'softmax':
    case 'softmaxGradient':
    case 'layerNorm':
    case 'layerNormGradient':
      return lowered(call, scratch);
    default:
      return [call];
  }
}

/** A formula of at most three inputs, as many as any device reads. */
type RowFormula = (a: Formula, b: Formula, c: Formula) => Formula;

function lowered(call: RowCall, scratch: Scratch): readonly KernelCall[] {
  const { rows, columns, output } = call;
  const { period = 1 } = 'period' in call ? call : {};
  const shape = [rows / period, period, columns];
  const calls: KernelCall[] = [];
  const all = (storage: Storage): StridedView => ({ storage, strides: contiguousStrides(shape) });
  /** Repeats one value for each row. */
  const repeated = (storage: Storage): StridedView => ({ storage, strides: [period, 1, 0] });
  const mask = 'period' in call && call.period !== undefined ? [maskOf(period, columns, scratch)] : [];
  const temporary = (): Storage => scratch(rows * columns);

  const map = (target: Storage, inputs: readonly StridedView[], formula: RowFormula): Storage => {
    calls.push({ kind: 'map', formula: formula(input(0), input(1), input(2)), shape, inputs, output: target });
    return target;
  };
  /** `formula` where columns are visible, else `otherwise`. */
  const visible = (target: Storage, inputs: readonly StridedView[], otherwise: number, formula: RowFormula): Storage =>
    map(target, [...inputs, ...mask], (...values) =>
      mask.length === 0 ? formula(...values) : apply('where', values[inputs.length]!, formula(...values), otherwise),
    );
  const reduce = (reduction: ReduceCall['reduction'], source: Storage): StridedView => {
    const target = scratch(rows);
    calls.push({ kind: 'reduce', reduction, outer: rows, length: columns, inner: 1, input: source, output: target });
    return repeated(target);
  };
  const sumOfProducts = (left: Storage, right: Storage): StridedView =>
    reduce(
      'sum',
      visible(temporary(), [all(left), all(right)], 0, (x, y) => apply('mul', x, y)),
    );

  switch (call.kind) {
    case 'softmax': {
      const { input: source, temperature } = call;
      const values = visible(temporary(), [all(source)], lowest, (x) => x);
      visible(output, [all(values), reduce('max', values)], 0, (x, largest) =>
        apply('exp', apply('div', apply('sub', x, largest), temperature)),
      );
      map(output, [all(output), reduce('sum', output)], (power, total) => apply('div', power, total));
      break;
    }
    case 'softmaxGradient': {
      const { gradient, probabilities, temperature } = call;
      const total = sumOfProducts(gradient, probabilities);
      map(output, [all(gradient), total], (g, sum) => apply('sub', g, sum));
      visible(output, [all(output), all(probabilities)], 0, (difference, y) =>
        apply('div', apply('mul', y, difference), temperature),
      );
      break;
    }
    case 'layerNorm': {
      const { input: source, inverseDeviations, epsilon } = call;
      map(output, [all(source), reduce('sum', source)], (x, total) => apply('sub', x, apply('div', total, columns)));
      const { storage } = sumOfProducts(output, output);
      const variance = apply('add', apply('div', input(0), columns), epsilon);
      const inputs = [{ storage, strides: [1] }];
      const formula = apply('div', 1, apply('sqrt', variance));
      calls.push({ kind: 'map', formula, shape: [rows], inputs, output: inverseDeviations });
      map(output, [all(output), repeated(inverseDeviations)], (difference, inverse) =>
        apply('mul', difference, inverse),
      );
      break;
    }
    case 'layerNormGradient': {
      const { gradient, normalized, inverseDeviations } = call;
      const [total, products] = [reduce('sum', gradient), sumOfProducts(gradient, normalized)];
      map(output, [all(gradient), total], (g, sum) => apply('sub', g, apply('div', sum, columns)));
      map(output, [all(output), all(normalized), products], (difference, y, sum) =>
        apply('sub', difference, apply('mul', y, apply('div', sum, columns))),
      );
      map(output, [repeated(inverseDeviations), all(output)], (inverse, difference) =>
        apply('mul', inverse, difference),
      );
      break;
    }
    default:
      return call satisfies never;
  }
  return calls;
}

/** 1 for each visible column of the rows of one period, else 0. */
function maskOf(period: number, columns: number, scratch: Scratch): StridedView {
  const isVisible = Float32Array.from({ length: period * columns }, (_, index) =>
    Number(index % columns < visibleColumns({ columns, period }, Math.floor(index / columns))),
  );
  return { storage: scratch(isVisible.length, isVisible), strides: [0, columns, 1] };
}
