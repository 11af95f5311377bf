/** The text of a matrix product: each thread computes four neighbours of a row, reading cells where operands allow. */
import type { MatmulBatch } from '../../../backend.ts';
import { sizeOf } from '../../../shape.ts';
import { cellLength, type Device, type Dialect, type KernelSource } from '../device.ts';
import {
  fits,
  flatThreads,
  isWhole,
  lanes,
  plus,
  quotient,
  remainder,
  type Source,
  type Threads,
  times,
} from './cells.ts';

export interface MatmulKernel {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly left: Source;
  readonly right: Source;
  readonly transposeLeft: boolean;
  readonly transposeRight: boolean;
  readonly inputs: number;
  readonly batch?: MatmulBatch | undefined;
}

export function matmulKernel(call: MatmulKernel, dialect: Dialect, device: Pick<Device, 'maxThreads'>): KernelSource {
  const { m, n, inputs, batch } = call;
  const matrices = sizeOf(batch?.shape ?? []);
  const length = matrices * m * n;
  const grid: Threads = [n / cellLength, m, matrices];
  const whole = isWhole(n) && fits(device, grid);
  const threads = whole ? grid : flatThreads(length);
  const body = whole ? rowBody(call, dialect) : scatteredBody(call, dialect);
  return { inputs, length, threads, body };
}

function sums(loop: string, count: number, statements: readonly string[]): string {
  return [
    ...lanes.map((lane) => `let s${lane} = 0.0;`),
    `for (let ${loop} = 0; ${loop} < ${count}; ${loop}++) {`,
    ...statements,
    '}',
    'return [s0, s1, s2, s3];',
  ].join('\n');
}

/** Products of two cells, added up. */
function dot(left: string, right: (position: number) => string): string {
  return lanes.map((position) => `${left}[${position}] * ${right(position)}`).join(' + ');
}

/** Where a matrix of an operand begins; in cells if `unit` says so. */
function matrixStart(batch: MatmulBatch | undefined, strides: readonly number[], matrix: string, unit: number): string {
  if (batch === undefined) return '0';
  let below = 1;
  const terms = batch.shape.toReversed().map((length, fromEnd) => {
    const axis = batch.shape.length - 1 - fromEnd;
    const upper = quotient(matrix, below);
    below *= length;
    return times(strides[axis]! / unit, axis === 0 ? upper : remainder(upper, length));
  });
  return plus(...terms);
}

interface Operand {
  /** Whether it is read by whole cells. */
  readonly cells: boolean;
  /** The index of a value, or of a cell where `cells`, from its place in the matrix. */
  at(matrix: string, ...place: readonly (string | number)[]): string;
  readonly input: number;
}

function operand(source: Source, strides: readonly number[], batch: MatmulBatch | undefined, cells: boolean): Operand {
  const aligned = cells && isWhole(source.offset) && strides.every(isWhole);
  const unit = aligned ? cellLength : 1;
  return {
    cells: aligned,
    input: source.input,
    at: (matrix, ...place) => plus(matrixStart(batch, strides, matrix, unit), ...place, source.offset / unit),
  };
}

function leftOperand({ k, left, transposeLeft, batch }: MatmulKernel): Operand {
  return operand(left, batch?.leftStrides ?? [], batch, !transposeLeft && isWhole(k));
}

function leftPlace({ m, k, transposeLeft }: MatmulKernel, row: string, inner: string): string {
  return transposeLeft ? plus(times(m, inner), row) : plus(times(k, row), inner);
}

function rightPlace({ k, n, transposeRight }: MatmulKernel, inner: string, column: string): string {
  return transposeRight ? plus(times(k, column), inner) : plus(times(n, inner), column);
}

/** n is whole: the thread's four columns lie in one row. */
function rowBody(call: MatmulKernel, dialect: Dialect): string {
  const { k, n, transposeRight, batch } = call;
  const [matrix, row, cell] = ['this.thread.z', 'this.thread.y', 'this.thread.x'];
  const left = leftOperand(call);
  const right = operand(call.right, batch?.rightStrides ?? [], batch, transposeRight ? isWhole(k) : true);
  if (left.cells && right.cells) {
    const l = `const l = ${dialect.cell(left.input, left.at(matrix, times(k / cellLength, row), 'i'))};`;
    const columns = lanes.map((lane) => {
      const place = transposeRight
        ? plus(times(k, cell), (lane * k) / cellLength, 'i')
        : plus(times(n, 'i'), (lane * n) / cellLength, cell);
      return `const r${lane} = ${dialect.cell(right.input, right.at(matrix, place))};`;
    });
    const add = lanes.map((lane) => {
      const value = (j: number): string => (transposeRight ? `r${lane}[${j}]` : `r${j}[${lane}]`);
      return `s${lane} += ${dot('l', value)};`;
    });
    return sums('i', k / cellLength, [l, ...columns, ...add]);
  }
  const single = operand(call.left, batch?.leftStrides ?? [], batch, false);
  const l = `const l = ${dialect.value(single.input, single.at(matrix, leftPlace(call, row, 'i')))};`;
  if (right.cells && !transposeRight) {
    const r = `const r = ${dialect.cell(right.input, right.at(matrix, times(n / cellLength, 'i'), cell))};`;
    return sums('i', k, [l, r, ...lanes.map((lane) => `s${lane} += l * r[${lane}];`)]);
  }
  const values = operand(call.right, batch?.rightStrides ?? [], batch, false);
  const add = lanes.map((lane) => {
    const place = rightPlace(call, 'i', plus(times(cellLength, cell), lane));
    return `s${lane} += l * ${dialect.value(values.input, values.at(matrix, place))};`;
  });
  return sums('i', k, [l, ...add]);
}

/** A cell may reach over the end of a row: each of its values finds its own row and column. */
function scatteredBody(call: MatmulKernel, dialect: Dialect): string {
  const { m, k, n, transposeRight, batch } = call;
  const places = lanes.map((lane) => {
    const element = plus('4 * this.thread.x', lane);
    const within = batch === undefined ? element : remainder(element, m * n);
    return { matrix: quotient(element, m * n), row: quotient(within, n), column: remainder(within, n) };
  });
  const left = leftOperand(call);
  const values = operand(call.right, batch?.rightStrides ?? [], batch, false);
  if (!left.cells) {
    const add = lanes.map((lane) => {
      const { matrix, row, column } = places[lane]!;
      const l = dialect.value(left.input, left.at(matrix, leftPlace(call, row, 'i')));
      return `s${lane} += ${l} * ${dialect.value(values.input, values.at(matrix, rightPlace(call, 'i', column)))};`;
    });
    return sums('i', k, add);
  }
  const right = operand(call.right, batch?.rightStrides ?? [], batch, transposeRight);
  const statements = lanes.flatMap((lane) => {
    const { matrix, row, column } = places[lane]!;
    const l = `const l${lane} = ${dialect.cell(left.input, left.at(matrix, times(k / cellLength, row), 'i'))};`;
    if (right.cells) {
      const r = dialect.cell(right.input, right.at(matrix, times(k / cellLength, column), 'i'));
      return [l, `const r${lane} = ${r};`, `s${lane} += ${dot(`l${lane}`, (j) => `r${lane}[${j}]`)};`];
    }
    const r = (j: number): string =>
      dialect.value(values.input, values.at(matrix, rightPlace(call, plus('4 * i', j), column)));
    return [l, `s${lane} += ${dot(`l${lane}`, r)};`];
  });
  return sums('i', k / cellLength, statements);
}
