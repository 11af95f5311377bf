/** Matrix products: each thread computes four neighbors of a row, reading whole cells if the operands allow it. */
import { type Shape, sizeOf } from '../../shape.ts';
import { cellLength, type Dialect, type KernelSource } from './device.ts';
import {
  coordinatesOf,
  dotStrides,
  elementAt,
  fits,
  flatKernel,
  isWhole,
  lanes,
  loop,
  plus,
  quotient,
  remainder,
  returnCell,
  type Source,
  sums,
  type Target,
  type Threads,
  times,
  zeroSums,
} from './shaders.ts';

export interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly batch?: Shape | undefined;
  /** One for each axis of [...batch, m, k]. */
  readonly leftStrides: readonly number[];
  /** One for each axis of [...batch, k, n]. */
  readonly rightStrides: readonly number[];
}

/** Strides of one matrix of each operand, and whether the right one is read along k. */
export function matrixStrides({ leftStrides, rightStrides }: Product) {
  const [leftRow, leftInner] = leftStrides.slice(-2) as [number, number];
  const [rightInner, rightColumn] = rightStrides.slice(-2) as [number, number];
  return { leftRow, leftInner, rightInner, rightColumn, rightIsTransposed: rightInner === 1 && rightColumn !== 1 };
}

interface MatmulShader extends Product {
  readonly left: Source;
  readonly right: Source;
  readonly inputs: number;
  /** Added to each row. */
  readonly bias?: Source | undefined;
  readonly relu?: boolean;
}

/** Fewest results for which four rows per thread pay off: with fewer, part of a device would idle. */
const quarteredFrom = 1024;

export function matmulShader(call: MatmulShader, target: Target): KernelSource {
  const { m, n, inputs, batch } = call;
  const { dialect } = target;
  const matrices = sizeOf(batch ?? []);
  const length = matrices * m * n;
  const quarter: Threads = [n / cellLength, m / 4, 1];
  const quarterable = batch === undefined && isWhole(m) && isWhole(n) && readsCells(call) && fits(target, quarter);
  if (quarterable && length >= quarteredFrom && target.quarters(length)) {
    return { inputs, length, threads: quarter, body: rowsBody(call, dialect, lanes.map(String)), quartered: true };
  }
  const threads: Threads = [n / cellLength, m, matrices];
  if (!isWhole(n) || !fits(target, threads)) return flatKernel(inputs, length, elementLines(call, dialect));
  return { inputs, length, threads, body: rowsBody(call, dialect, ['']) };
}

/** Dot product of two cells. */
function dot(left: string, right: (position: number) => string): string {
  return lanes.map((position) => `${left}[${position}] * ${right(position)}`).join(' + ');
}

/** Whether an operand is read in whole cells, and how a value or a cell at a position in a matrix is read. */
function operand(source: Source, batch: Shape = [], all: readonly number[], cells: boolean) {
  const strides = all.slice(0, -2);
  const aligned = cells && isWhole(source.offset) && strides.every(isWhole);
  const unit = aligned ? cellLength : 1;
  const steps = strides.map((stride) => stride / unit);
  return {
    cells: aligned,
    read(dialect: Dialect, matrix: string, ...place: readonly (string | number)[]): string {
      const start = dotStrides(steps, coordinatesOf(matrix, batch));
      const index = plus(start, ...place, source.offset / unit);
      return aligned ? dialect.cell(source.input, index) : dialect.value(source.input, index);
    },
  };
}

function leftOperand(call: MatmulShader, cells = true) {
  const { leftRow, leftInner } = matrixStrides(call);
  const inCells = leftInner === 1 && isWhole(call.k) && isWhole(leftRow);
  return operand(call.left, call.batch, call.leftStrides, cells && inCells);
}

function leftPlace(call: MatmulShader, row: string, inner: string): string {
  const { leftRow, leftInner } = matrixStrides(call);
  return plus(times(leftRow, row), times(leftInner, inner));
}

function rightOperand(call: MatmulShader, cells = true) {
  const { rightInner, rightColumn, rightIsTransposed } = matrixStrides(call);
  const inCells = rightIsTransposed
    ? isWhole(call.k) && isWhole(rightColumn)
    : rightColumn === 1 && isWhole(call.n) && isWhole(rightInner);
  return operand(call.right, call.batch, call.rightStrides, cells && inCells);
}

function rightPlace(call: MatmulShader, inner: string, column: string): string {
  const { rightInner, rightColumn } = matrixStrides(call);
  return plus(times(rightInner, inner), times(rightColumn, column));
}

function readsCells(call: MatmulShader): boolean {
  return leftOperand(call).cells && rightOperand(call).cells;
}

/** Statements that apply the epilogue to a sum, given the expression of its bias, and the name of the result. */
function finish({ relu }: MatmulShader, sum: string, bias: string | undefined) {
  const lines: string[] = [];
  let name = sum;
  if (bias !== undefined) {
    lines.push(`const b${sum} = ${name} + ${bias};`);
    name = `b${sum}`;
  }
  if (relu) {
    // A NaN fails both comparisons and propagates through the sum.
    lines.push(`const v${sum} = (${name} > 0.0 ? ${name} : (0.0 >= ${name} ? 0.0 : ${name} + 0.0));`);
    name = `v${sum}`;
  }
  return { lines, name };
}

/** Reads the bias of a thread's four columns: declarations, and an expression for each lane. */
function readBias({ bias }: MatmulShader, dialect: Dialect): { lines: string[]; values: string[] } {
  if (bias === undefined) return { lines: [], values: [] };
  if (!isWhole(bias.offset)) {
    return { lines: [], values: lanes.map((lane) => dialect.value(bias.input, plus(elementAt(lane), bias.offset))) };
  }
  const cell = dialect.cell(bias.input, plus('this.thread.x', bias.offset / cellLength));
  return { lines: [`const bias = ${cell};`], values: lanes.map((lane) => `bias[${lane}]`) };
}

/**
 * Body for n a multiple of the cell length: the thread's four columns lie in one row. Computes one row, or four rows a
 * quarter of m apart, so that each cell of the right operand serves four cells of results. `parts` distinguishes the
 * names of the rows.
 */
function rowsBody(call: MatmulShader, dialect: Dialect, parts: readonly string[]): string {
  const rows = parts.map((part) => lanes.map((lane) => `s${part}${lane}`));
  const bias = readBias(call, dialect);
  const finished = rows.map((row) => row.map((sum, lane) => finish(call, sum, bias.values[lane])));
  const [first, ...others] = finished.map((row) => row.map(({ name }) => name));
  return [
    ...rows.flat().map((sum) => `let ${sum} = 0.0;`),
    ...(readsCells(call) ? cellsLoop(call, dialect, parts, rows) : rowLoop(call, dialect)),
    ...bias.lines,
    ...finished.flat().flatMap(({ lines }) => lines),
    ...others.map((names, index) => `part${index + 1}(${names.join(', ')});`),
    returnCell(first!),
  ].join('\n');
}

/**
 * Reads both operands in cells: on the left along k of each row, on the right along k of four columns or along n of
 * four steps in k.
 */
function cellsLoop(
  call: MatmulShader,
  dialect: Dialect,
  parts: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const { m, k } = call;
  const { leftRow, rightInner, rightColumn, rightIsTransposed } = matrixStrides(call);
  const matrix = parts.length === 1 ? 'this.thread.z' : '0';
  const [left, right] = [leftOperand(call), rightOperand(call)];
  const readLeft = parts.map((part, index) => {
    const start = (index * m * leftRow) / (cellLength * parts.length);
    return `const l${part} = ${left.read(dialect, matrix, times(leftRow / cellLength, 'this.thread.y'), start, 'i')};`;
  });
  const readRight = lanes.map((lane) => {
    const place = rightIsTransposed
      ? plus(times(rightColumn, 'this.thread.x'), (lane * rightColumn) / cellLength, 'i')
      : plus(times(rightInner, 'i'), (lane * rightInner) / cellLength, 'this.thread.x');
    return `const r${lane} = ${right.read(dialect, matrix, place)};`;
  });
  const add = rows.flatMap((row, index) =>
    row.map((sum, lane) => {
      const term = dot(`l${parts[index]}`, (j) => (rightIsTransposed ? `r${lane}[${j}]` : `r${j}[${lane}]`));
      return `${sum} += ${term};`;
    }),
  );
  return loop(k / cellLength, [...readLeft, ...readRight, ...add]);
}

/** Reads single values of the left operand, and cells of the right one if they run along n. */
function rowLoop(call: MatmulShader, dialect: Dialect): string[] {
  const { k } = call;
  const { rightInner, rightIsTransposed } = matrixStrides(call);
  const [matrix, row, cell] = ['this.thread.z', 'this.thread.y', 'this.thread.x'];
  const l = `const l = ${leftOperand(call, false).read(dialect, matrix, leftPlace(call, row, 'i'))};`;
  const right = rightOperand(call, !rightIsTransposed);
  if (right.cells) {
    const r = `const r = ${right.read(dialect, matrix, times(rightInner / cellLength, 'i'), cell)};`;
    return loop(k, [l, r, ...sums.map((sum, lane) => `${sum} += l * r[${lane}];`)]);
  }
  const add = sums.map((sum, lane) => {
    const place = rightPlace(call, 'i', plus(times(cellLength, cell), lane));
    return `${sum} += l * ${right.read(dialect, matrix, place)};`;
  });
  return loop(k, [l, ...add]);
}

/** Locates the row and column of each value separately, because a cell may extend past the end of a row. */
function elementLines(call: MatmulShader, dialect: Dialect): string[] {
  const { m, n, k, batch, bias } = call;
  const { leftRow, rightColumn, rightIsTransposed } = matrixStrides(call);
  const left = leftOperand(call);
  const right = rightOperand(call, left.cells && rightIsTransposed);
  const statements: string[] = [];
  const finished = sums.map((sum, lane) => {
    const element = elementAt(lane);
    const within = batch === undefined ? element : remainder(element, m * n);
    const [matrix, row, column] = [quotient(element, m * n), quotient(within, n), remainder(within, n)];
    const value = (inner: string): string => right.read(dialect, matrix, rightPlace(call, inner, column));
    if (!left.cells) {
      const l = left.read(dialect, matrix, leftPlace(call, row, 'i'));
      statements.push(`${sum} += ${l} * ${value('i')};`);
    } else {
      statements.push(`const l${lane} = ${left.read(dialect, matrix, times(leftRow / cellLength, row), 'i')};`);
      if (right.cells) {
        statements.push(
          `const r${lane} = ${right.read(dialect, matrix, times(rightColumn / cellLength, column), 'i')};`,
        );
      }
      const factor = (j: number): string => (right.cells ? `r${lane}[${j}]` : value(plus('4 * i', j)));
      statements.push(`${sum} += ${dot(`l${lane}`, factor)};`);
    }
    return finish(call, sum, bias && dialect.value(bias.input, plus(column, bias.offset)));
  });
  const count = left.cells ? k / cellLength : k;
  const names = finished.map(({ name }) => name);
  return [...zeroSums, ...loop(count, statements), ...finished.flatMap(({ lines }) => lines), returnCell(names)];
}
