/** The text of an elementwise kernel. */

import { type Formula, type Primitive, topological } from '../../../formula.ts';
import type { Shape } from '../../../shape.ts';
import { sizeOf } from '../../../shape.ts';
import { cellLength, type Dialect, type KernelSource } from '../device.ts';
import {
  fits,
  flatThreads,
  isWhole,
  lanes,
  literal,
  plus,
  quotient,
  remainder,
  type Source,
  type Threads,
  times,
} from './cells.ts';

export interface MapView extends Source {
  readonly strides: readonly number[];
}

export interface MapKernel {
  readonly formula: Formula;
  readonly shape: Shape;
  readonly views: readonly MapView[];
  /** Number of arrays, and which of them holds the values without a literal: NaN, infinity, -infinity. */
  readonly inputs: number;
  readonly specials: number;
}

type Expression = (operands: readonly [string, string, string], special: (value: number) => string) => string;

const unary =
  (name: string): Expression =>
  ([a]) =>
    `${name}(${a})`;

const binary =
  (operator: string): Expression =>
  ([a, b]) =>
    `${a} ${operator} ${b}`;

const comparison =
  (operator: string): Expression =>
  ([a, b]) =>
    `(${a} ${operator} ${b} ? 1.0 : 0.0)`;

/** A NaN fails both comparisons and comes through the sum. */
const extreme =
  (better: string): Expression =>
  ([a, b]) =>
    `(${a} ${better} ${b} ? ${a} : (${b} ${better}= ${a} ? ${b} : ${a} + ${b}))`;

/** How each primitive is written. Operands are names, cells' values or literals. */
const expressions: Record<Primitive, Expression> = {
  neg: ([a]) => `-${a}`,
  exp: unary('Math.exp'),
  log: unary('Math.log'),
  abs: unary('Math.abs'),
  sqrt: unary('Math.sqrt'),
  tanh: unary('tanhOf'),
  sigmoid: unary('sigmoidOf'),
  softplus: unary('softplusOf'),
  normalCdf: unary('normalCdfOf'),
  add: binary('+'),
  sub: binary('-'),
  mul: binary('*'),
  div: binary('/'),
  pow: ([a, b], special) => `powerOf(${a}, ${b}, ${special(Number.NaN)}, ${special(Number.POSITIVE_INFINITY)})`,
  maximum: extreme('>'),
  minimum: extreme('<'),
  greater: comparison('>'),
  greaterEqual: comparison('>='),
  equal: comparison('==='),
  where: ([a, b, c]) => `(${a} !== 0.0 ? ${b} : ${c})`,
};

/** Position of a value that has no literal among the specials. */
function positionOf(value: number): number {
  if (Number.isNaN(value)) return 0;
  return value > 0 ? 1 : 2;
}

interface Axis {
  length: number;
  strides: readonly number[];
}

/** Drops axes of size 1 and joins neighbors that every view crosses evenly. */
function joinAxes(shape: Shape, views: readonly MapView[]): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((length, position) => {
    if (length === 1) return;
    const strides = views.map((view) => view.strides[position]!);
    const previous = axes.at(-1);
    if (previous?.strides.every((stride, which) => stride === strides[which]! * length)) {
      previous.length *= length;
      previous.strides = strides;
    } else {
      axes.push({ length, strides });
    }
  });
  return axes;
}

/** Where a thread's cell begins, as one whole-number expression for each axis; the innermost counts cells. */
function cellCoordinates(
  axes: readonly Axis[],
  device: { readonly maxThreads: readonly [number, number] },
): {
  threads: Threads;
  coordinates: string[];
} {
  const lengths = axes.map((axis, position) => (position === axes.length - 1 ? axis.length / cellLength : axis.length));
  const inner = lengths.at(-1) ?? 1;
  const [second = 1, third = 1] = [lengths.at(-2), lengths.at(-3)];
  const grid: Threads = [inner, second, third];
  if (axes.length <= 3 && fits(device, grid)) {
    return { threads: grid, coordinates: ['this.thread.z', 'this.thread.y', 'this.thread.x'].slice(3 - axes.length) };
  }
  let below = 1;
  const coordinates = lengths.toReversed().map((length, fromEnd) => {
    const upper = quotient('this.thread.x', below);
    below *= length;
    return fromEnd === lengths.length - 1 ? upper : remainder(upper, length);
  });
  return { threads: [below, 1, 1], coordinates: coordinates.reverse() };
}

/** Declarations of `i<view>` (a cell), or `i<view>_<lane>` (single values), for every view. */
function declareInputs(
  { shape, views }: MapKernel,
  dialect: Dialect,
  device: { readonly maxThreads: readonly [number, number] },
): { threads: Threads; lines: string[]; operand: (view: number, lane: number) => string } {
  const axes = joinAxes(shape, views);
  const inner = axes.at(-1);
  const lines: string[] = [];
  const names = views.map(() => [] as string[]);
  if (inner === undefined || !isWhole(inner.length)) {
    // A cell may reach over the end of a row: each value finds its own place.
    const size = sizeOf(shape);
    for (const lane of lanes) {
      const element = plus('4 * this.thread.x', lane);
      views.forEach((view, which) => {
        let below = 1;
        const terms = axes.toReversed().map((axis, fromEnd) => {
          const upper = quotient(element, below);
          below *= axis.length;
          const coordinate = fromEnd === axes.length - 1 ? upper : remainder(upper, axis.length);
          return times(axis.strides[which]!, coordinate);
        });
        lines.push(`const i${which}_${lane} = ${dialect.value(view.input, plus(...terms, view.offset))};`);
        names[which]!.push(`i${which}_${lane}`);
      });
    }
    return { threads: flatThreads(size), lines, operand: (view, lane) => names[view]![lane]! };
  }
  const { threads, coordinates } = cellCoordinates(axes, device);
  views.forEach((view, which) => {
    const stride = inner.strides[which]!;
    const outer = axes.slice(0, -1).map((axis, position) => [axis.strides[which]!, coordinates[position]!] as const);
    const at = coordinates.at(-1)!;
    if (stride === 1 && isWhole(view.offset) && outer.every(([step]) => isWhole(step))) {
      const cells = outer.map(([step, coordinate]) => times(step / cellLength, coordinate));
      lines.push(`const i${which} = ${dialect.cell(view.input, plus(...cells, at, view.offset / cellLength))};`);
      names[which]!.push(...lanes.map((lane) => `i${which}[${lane}]`));
      return;
    }
    const base = outer.map(([step, coordinate]) => times(step, coordinate));
    const used = stride === 0 ? lanes.slice(0, 1) : lanes;
    for (const lane of used) {
      const index = plus(...base, times(stride * cellLength, at), stride * lane, view.offset);
      lines.push(`const i${which}_${lane} = ${dialect.value(view.input, index)};`);
    }
    names[which]!.push(...lanes.map((lane) => `i${which}_${stride === 0 ? 0 : lane}`));
  });
  return { threads, lines, operand: (view, lane) => names[view]![lane]! };
}

export function mapKernel(
  call: MapKernel,
  dialect: Dialect,
  device: { readonly maxThreads: readonly [number, number] },
): KernelSource {
  const { threads, lines, operand } = declareInputs(call, dialect, device);
  const nodes = topological(call.formula);
  const special = (value: number): string => dialect.value(call.specials, String(positionOf(value)));
  const results = lanes.map((lane) => {
    const names = new Map<Formula, string>();
    nodes.forEach((node, position) => {
      switch (node.kind) {
        case 'input':
          names.set(node, operand(node.index, lane));
          return;
        case 'constant': {
          names.set(node, Number.isFinite(node.value) ? literal(node.value) : special(node.value));
          return;
        }
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
  lines.push(`return [${results.join(', ')}];`);
  return { inputs: call.inputs, length: sizeOf(call.shape), threads, body: lines.join('\n') };
}

/** Whether a formula needs the specials. */
export function usesSpecials(formula: Formula): boolean {
  return topological(formula).some((node) =>
    node.kind === 'apply' ? node.primitive === 'pow' : node.kind === 'constant' && !Number.isFinite(node.value),
  );
}
