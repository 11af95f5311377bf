/** Text that all shaders share, and shaders of elementwise formulas. */
import { type Formula, primitives, shaderFunctions, topological } from '../../formula.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../shape.ts';
import { type Axis, joinAxes } from '../calls.ts';
import { cellLength, cellsOf, type Device, type DeviceStretch, type KernelSource } from './device.ts';

/** Properties of a device that its shaders depend on. */
export type Target = Pick<Device, 'dialect' | 'maxThreads' | 'quarters'>;

/** Positions in a cell. */
export const lanes = [0, 1, 2, 3] as const;

/** An operand: one of the arrays a kernel reads, from an offset on. */
export interface Source {
  /** Index of the array. */
  readonly input: number;
  /** Offset in values. */
  readonly offset: number;
}

export type Threads = KernelSource['threads'];

/** Creates a kernel with one thread per cell, counted by `this.thread.x`. */
export function flatKernel(inputs: number, length: number, lines: readonly string[]): KernelSource {
  return { inputs, length, threads: [cellsOf(length), 1, 1], body: lines.join('\n') };
}

/** Whether a device supports these thread counts. */
export function fits({ maxThreads }: Target, [x, y, z]: Threads): boolean {
  return x <= maxThreads[0] && y <= maxThreads[0] && z <= maxThreads[1];
}

/** Whether a length is a whole number of cells. */
export function isWhole(length: number): boolean {
  return length % cellLength === 0;
}

/** Position of a flat thread's value in its result. */
export function elementAt(lane: number): string {
  return plus('4 * this.thread.x', lane);
}

/** `factor * expression`, simplified. Whole numbers only. */
export function times(factor: number, expression: string): string {
  if (factor === 0) return '0';
  return factor === 1 ? expression : `${factor} * (${expression})`;
}

export function plus(...terms: readonly (string | number)[]): string {
  const nonzero = terms.filter((term) => String(term) !== '0');
  return nonzero.length === 0 ? '0' : nonzero.join(' + ');
}

/** `expression / divisor` of whole numbers, rounded down. */
export function quotient(expression: string, divisor: number): string {
  return divisor === 1 ? expression : `quotient(${expression}, ${divisor})`;
}

export function remainder(expression: string, divisor: number): string {
  return divisor === 1 ? '0' : `remainder(${expression}, ${divisor})`;
}

/** Coordinates of a flat position in a shape, outermost axis first. */
export function coordinatesOf(place: string, shape: readonly number[]): string[] {
  let below = 1;
  const coordinates = shape.toReversed().map((length, fromEnd) => {
    const upper = quotient(place, below);
    below *= length;
    return fromEnd === shape.length - 1 ? upper : remainder(upper, length);
  });
  return coordinates.reverse();
}

/** Sum of the coordinates, each times its stride. */
export function dotStrides(strides: readonly number[], coordinates: readonly string[]): string {
  return plus(...strides.map((stride, axis) => times(stride, coordinates[axis]!)));
}

/** A float32 literal that gpu.js keeps as a float. NaN and infinities have no literal. */
export function literal(value: number): string {
  const text = String(Math.abs(value));
  return value < 0 || Object.is(value, -0) ? `(-${text})` : text;
}

/** Repeats statements for `i` from 0 to `count` - 1. */
export function loop(count: number, statements: readonly string[]): string[] {
  return [`for (let i = 0; i < ${count}; i++) {`, ...statements, '}'];
}

/** One sum per lane: names, declarations, and the statement that returns them. */
export const sums = lanes.map((lane) => `s${lane}`);
export const zeroSums = sums.map((sum) => `let ${sum} = 0.0;`);
export const returnSums = returnCell(sums);

/** Body that adds to the sums in a loop and returns them. */
export function sumLoop(count: number, add: readonly string[]): string[] {
  return [...zeroSums, ...loop(count, add), returnSums];
}

export function returnCell(values: readonly string[]): string {
  return `return [${values.join(', ')}];`;
}

type NumberType = 'Number' | 'Integer';

/** A function as gpu.js takes it; arguments and result have the same type by default. */
export function kernelFunction(
  name: string,
  parameters: readonly string[],
  body: string,
  returnType: NumberType = 'Number',
  argumentType: NumberType = returnType,
) {
  const argumentTypes = Object.fromEntries(parameters.map((parameter) => [parameter, argumentType]));
  return { source: `function ${name}(${parameters.join(', ')}) { ${body} }`, argumentTypes, returnType };
}

export const kernelFunctions = shaderFunctions.map(([name, parameters, body]) =>
  kernelFunction(name, parameters, body),
);

/** Axes with their strides in the values (`from`) and in the target (`to`), the largest target stride first. */
function axesOf(shape: Shape, strides: readonly number[]) {
  const contiguous = contiguousStrides(shape);
  return shape
    .map((length, axis) => ({ length, from: contiguous[axis]!, to: strides[axis]! }))
    .filter(({ length }) => length > 1)
    .sort((one, other) => other.to - one.to);
}

/** Whether each axis steps past everything that the smaller ones reach, so that a position determines its element. */
export function isNested(shape: Shape, strides: readonly number[]): boolean {
  let reach = 0;
  return axesOf(shape, strides)
    .reverse()
    .every(({ length, to }) => {
      const over = to > reach;
      reach += (length - 1) * to;
      return over;
    });
}

/** Array 0 holds the values, contiguous; array 1 holds `length` old values of the target from `offset` on. */
export function stridedWriteShader(
  { shape, strides, length, offset }: { shape: Shape; strides: readonly number[]; length: number; offset: number },
  { dialect }: Target,
): KernelSource {
  const axes = axesOf(shape, strides);
  const lines = lanes.flatMap((lane) => {
    let rest = elementAt(lane);
    const old = dialect.value(1, plus(rest, offset));
    const conditions: string[] = [];
    const terms = axes.map(({ length: count, from, to }) => {
      const index = quotient(rest, to);
      rest = remainder(rest, to);
      conditions.push(`${index} < ${count}`);
      return times(from, index);
    });
    if (rest !== '0') conditions.push(`${rest} === 0`);
    return [
      `let v${lane} = ${old};`,
      `if (${conditions.join(' && ')}) { v${lane} = ${dialect.value(0, plus(...terms))}; }`,
    ];
  });
  return flatKernel(2, length, [...lines, returnCell(['v0', 'v1', 'v2', 'v3'])]);
}

type Part = Source & Pick<DeviceStretch, 'length'>;

export function concatenateShader(parts: readonly Part[], inputs: number, { dialect }: Target): KernelSource {
  const cells: string[] = [];
  const values: string[] = [];
  let start = 0;
  parts.forEach(({ input, offset, length }, part) => {
    const end = start + length;
    const shift = offset - start;
    if (isWhole(start) && isWhole(offset) && length >= cellLength) {
      // Cells that lie entirely in this part.
      const cell = dialect.cell(input, plus('this.thread.x', shift / cellLength));
      cells.push(
        `if (this.thread.x >= ${start / cellLength} && this.thread.x < ${Math.floor(end / cellLength)}) {`,
        `const c${part} = ${cell};`,
        returnCell(lanes.map((lane) => `c${part}[${lane}]`)),
        '}',
      );
    }
    for (const lane of lanes) {
      const element = elementAt(lane);
      const value = dialect.value(input, plus(element, shift));
      values.push(`if (${element} >= ${start} && ${element} < ${end}) { v${lane} = ${value}; }`);
    }
    start = end;
  });
  const zeros = lanes.map((lane) => `let v${lane} = 0.0;`);
  return flatKernel(inputs, start, [...cells, ...zeros, ...values, returnCell(['v0', 'v1', 'v2', 'v3'])]);
}

type MapView = Source & { readonly strides: readonly number[] };

interface MapShader {
  readonly formula: Formula;
  readonly shape: Shape;
  readonly views: readonly MapView[];
  /** Number of arrays, and the index of the one with the special values. */
  readonly inputs: number;
  readonly specials: number;
}

/** Values without a literal, in the order of their array; the last one only fills the cell. */
export const specialValues = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];

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
          lines.push(`const ${name} = ${primitives[node.primitive].shader([a, b, c], special)};`);
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
