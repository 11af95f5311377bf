/** Shaders of elementwise formulas. */
import { type Formula, type Primitive, topological } from '../../../formula.ts';
import { type Shape, sizeOf } from '../../../shape.ts';
import { type Axis, joinAxes } from '../../operands.ts';
import { cellLength, cellsOf, type KernelSource } from '../device.ts';
import {
  coordinatesOf,
  dotStrides,
  elementAt,
  fits,
  isWhole,
  lanes,
  literal,
  plus,
  returnCell,
  type Source,
  type Target,
  type Threads,
  times,
} from './code.ts';

type MapView = Source & { readonly strides: readonly number[] };

export interface MapShader {
  readonly formula: Formula;
  readonly shape: Shape;
  readonly views: readonly MapView[];
  /** Number of arrays, and the index of the one with the special values. */
  readonly inputs: number;
  readonly specials: number;
}

/** Values without a literal, in the order of their array; the last one only fills the cell. */
export const specialValues = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];

type Expression = (operands: readonly [string, string, string], special: (value: number) => string) => string;

/** A NaN fails both comparisons and propagates through the sum. */
const extreme =
  (better: string): Expression =>
  ([a, b]) =>
    `(${a} ${better} ${b} ? ${a} : (${b} ${better}= ${a} ? ${b} : ${a} + ${b}))`;

/** Text of each primitive. Operands are names, elements of cells or literals. */
const expressions: Record<Primitive, Expression> = {
  neg: ([a]) => `-${a}`,
  exp: ([a]) => `Math.exp(${a})`,
  log: ([a]) => `Math.log(${a})`,
  abs: ([a]) => `Math.abs(${a})`,
  sqrt: ([a]) => `Math.sqrt(${a})`,
  tanh: ([a]) => `tanhOf(${a})`,
  sigmoid: ([a]) => `sigmoidOf(${a})`,
  softplus: ([a]) => `softplusOf(${a})`,
  normalCdf: ([a]) => `normalCdfOf(${a})`,
  add: ([a, b]) => `${a} + ${b}`,
  sub: ([a, b]) => `${a} - ${b}`,
  mul: ([a, b]) => `${a} * ${b}`,
  div: ([a, b]) => `${a} / ${b}`,
  pow: ([a, b], special) => `powerOf(${a}, ${b}, ${special(Number.NaN)}, ${special(Number.POSITIVE_INFINITY)})`,
  maximum: extreme('>'),
  minimum: extreme('<'),
  greater: ([a, b]) => `(${a} > ${b} ? 1.0 : 0.0)`,
  greaterEqual: ([a, b]) => `(${a} >= ${b} ? 1.0 : 0.0)`,
  equal: ([a, b]) => `(${a} === ${b} ? 1.0 : 0.0)`,
  where: ([a, b, c]) => `(${a} !== 0.0 ? ${b} : ${c})`,
};

/**
 * Threads, and the position of a thread's cell: one whole-number expression per axis; the innermost axis counts cells.
 */
function cellCoordinates(axes: readonly Axis[], target: Target): { threads: Threads; coordinates: string[] } {
  const lengths = axes.map((axis, position) => (position === axes.length - 1 ? axis.length / cellLength : axis.length));
  const [inner = 1, second = 1, third = 1] = lengths.toReversed();
  const grid: Threads = [inner, second, third];
  if (axes.length <= 3 && fits(target, grid)) {
    return { threads: grid, coordinates: ['this.thread.z', 'this.thread.y', 'this.thread.x'].slice(3 - axes.length) };
  }
  const cells = lengths.reduce((product, length) => product * length, 1);
  return { threads: [cells, 1, 1], coordinates: coordinatesOf('this.thread.x', lengths) };
}

/**
 * Declares `i<view>` (a cell) or `i<view>_<lane>` (single values) for every view; returns the names of each view's
 * values.
 */
function readInputs({ shape, views }: MapShader, target: Target) {
  const axes = joinAxes(
    shape,
    views.map(({ strides }) => strides),
  );
  const inner = axes.at(-1);
  return inner === undefined || !isWhole(inner.length)
    ? readValues(sizeOf(shape), views, axes, target)
    : readCells(views, axes, inner, target);
}

/** Locates each value separately, because a cell may extend past the end of a row. */
function readValues(size: number, views: readonly MapView[], axes: readonly Axis[], { dialect }: Target) {
  const lengths = axes.map(({ length }) => length);
  const lines: string[] = [];
  const names = views.map(({ input, offset }, which) =>
    lanes.map((lane) => {
      const strides = axes.map((axis) => axis.strides[which]!);
      const index = plus(dotStrides(strides, coordinatesOf(elementAt(lane), lengths)), offset);
      lines.push(`const i${which}_${lane} = ${dialect.value(input, index)};`);
      return `i${which}_${lane}`;
    }),
  );
  return { threads: [cellsOf(size), 1, 1] as const, lines, names };
}

/** Reads views whose innermost axis is whole cells; along it each view is contiguous, repeated or strided. */
function readCells(views: readonly MapView[], axes: readonly Axis[], inner: Axis, target: Target) {
  const { dialect } = target;
  const { threads, coordinates } = cellCoordinates(axes, target);
  const lines: string[] = [];
  const at = coordinates.at(-1)!;
  const names = views.map(({ input, offset }, which) => {
    const stride = inner.strides[which]!;
    const outer = axes.slice(0, -1).map((axis) => axis.strides[which]!);
    if (stride === 1 && isWhole(offset) && outer.every(isWhole)) {
      const start = dotStrides(
        outer.map((step) => step / cellLength),
        coordinates,
      );
      lines.push(`const i${which} = ${dialect.cell(input, plus(start, at, offset / cellLength))};`);
      return lanes.map((lane) => `i${which}[${lane}]`);
    }
    const start = dotStrides(outer, coordinates);
    for (const lane of stride === 0 ? lanes.slice(0, 1) : lanes) {
      const index = plus(start, times(stride * cellLength, at), stride * lane, offset);
      lines.push(`const i${which}_${lane} = ${dialect.value(input, index)};`);
    }
    return lanes.map((lane) => `i${which}_${stride === 0 ? 0 : lane}`);
  });
  return { threads, lines, names };
}

export function mapShader(call: MapShader, target: Target): KernelSource {
  const { threads, lines, names: inputs } = readInputs(call, target);
  const nodes = topological(call.formula);
  const special = (value: number): string =>
    target.dialect.value(call.specials, String(specialValues.findIndex((other) => Object.is(other, value))));
  const results = lanes.map((lane) => {
    const names = new Map<Formula, string>();
    nodes.forEach((node, position) => {
      switch (node.kind) {
        case 'input':
          names.set(node, inputs[node.index]![lane]!);
          return;
        case 'constant':
          names.set(node, Number.isFinite(node.value) ? literal(node.value) : special(node.value));
          return;
        case 'apply': {
          const [a = '', b = '', c = ''] = node.operands.map((other) => names.get(other)!);
          const name = `v${position}_${lane}`;
          lines.push(`const ${name} = ${expressions[node.primitive]([a, b, c], special)};`);
          names.set(node, name);
          return;
        }
        default:
          node satisfies never;
      }
    });
    return names.get(call.formula)!;
  });
  lines.push(returnCell(results));
  return { inputs: call.inputs, length: sizeOf(call.shape), threads, body: lines.join('\n') };
}

/** Copies a strided view of array 0 to a contiguous result. */
export function copyShader(shape: Shape, view: Pick<MapView, 'offset' | 'strides'>, target: Target): KernelSource {
  const formula = { kind: 'input', index: 0 } as const;
  return mapShader({ formula, shape, views: [{ input: 0, ...view }], inputs: 1, specials: 0 }, target);
}

/** Whether a formula needs the special values. */
export function usesSpecials(formula: Formula): boolean {
  return topological(formula).some((node) =>
    node.kind === 'apply' ? node.primitive === 'pow' : node.kind === 'constant' && !Number.isFinite(node.value),
  );
}
