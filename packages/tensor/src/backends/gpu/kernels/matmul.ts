/** The text of a matrix product: each thread computes four neighbors of a row, reading cells where operands allow. */
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
  /** Added to each row. */
  readonly bias?: Source | undefined;
  readonly relu?: boolean;
}

type Limits = Pick<Device, 'maxThreads' | 'quarters'>;

/** A product pays for four rows in one thread from this many results on: fewer would leave a device idle. */
const quarteredFrom = 1024;

export function matmulKernel(call: MatmulKernel, dialect: Dialect, device: Limits): KernelSource {
  const { m, n, inputs, batch } = call;
  const matrices = sizeOf(batch?.shape ?? []);
  const length = matrices * m * n;
  if (batch === undefined && isWhole(m) && isWhole(n) && length >= quarteredFrom && device.quarters(length)) {
    const quarter: Threads = [n / cellLength, m / 4, 1];
    const body = fits(device, quarter) ? quarteredBody(call, dialect) : undefined;
    if (body !== undefined) return { inputs, length, threads: quarter, body, quartered: true };
  }
  const grid: Threads = [n / cellLength, m, matrices];
  const whole = isWhole(n) && fits(device, grid);
  const threads = whole ? grid : flatThreads(length);
  const body = whole ? rowBody(call, dialect) : scatteredBody(call, dialect);
  return { inputs, length, threads, body };
}

function loop(count: number, statements: readonly string[]): string[] {
  return [`for (let i = 0; i < ${count}; i++) {`, ...statements, '}'];
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

function rightOperand({ k, n, right, transposeRight, batch }: MatmulKernel): Operand {
  return operand(right, batch?.rightStrides ?? [], batch, isWhole(transposeRight ? k : n));
}

function rightPlace({ k, n, transposeRight }: MatmulKernel, inner: string, column: string): string {
  return transposeRight ? plus(times(k, column), inner) : plus(times(n, inner), column);
}

/** Declares `r0` to `r3`: cells along k of four columns, or four cells along n of neighbors in k. */
function rightCells(
  { k, n, transposeRight }: MatmulKernel,
  right: Operand,
  dialect: Dialect,
  matrix: string,
): string[] {
  return lanes.map((lane) => {
    const place = transposeRight
      ? plus(times(k, 'this.thread.x'), (lane * k) / cellLength, 'i')
      : plus(times(n, 'i'), (lane * n) / cellLength, 'this.thread.x');
    return `const r${lane} = ${dialect.cell(right.input, right.at(matrix, place))};`;
  });
}

/** What a thread adds in column `lane` for the cell `left` of its row, `r0` to `r3` being declared. */
function cellProduct({ transposeRight }: MatmulKernel, left: string, lane: number): string {
  return dot(left, (j) => (transposeRight ? `r${lane}[${j}]` : `r${j}[${lane}]`));
}

/** Declares what follows the sum `s` in a column whose bias is an expression: `v`, and gives the name of the result. */
function finish({ relu }: MatmulKernel, sum: string, bias: string | undefined): { lines: string[]; name: string } {
  const lines: string[] = [];
  let name = sum;
  if (bias !== undefined) {
    lines.push(`const b${sum} = ${name} + ${bias};`);
    name = `b${sum}`;
  }
  if (relu) {
    // A NaN fails both comparisons and comes through the sum.
    lines.push(`const v${sum} = (${name} > 0.0 ? ${name} : (0.0 >= ${name} ? 0.0 : ${name} + 0.0));`);
    name = `v${sum}`;
  }
  return { lines, name };
}

/** The end of a body whose lanes lie in one row: statements up to the results' names. */
function finishRow(call: MatmulKernel, dialect: Dialect, cells: readonly (readonly string[])[]): Finished {
  const { bias } = call;
  const lines: string[] = [];
  let biasOf: (lane: number) => string | undefined = () => undefined;
  if (bias !== undefined && isWhole(bias.offset)) {
    lines.push(`const bias = ${dialect.cell(bias.input, plus('this.thread.x', bias.offset / cellLength))};`);
    biasOf = (lane) => `bias[${lane}]`;
  } else if (bias !== undefined) {
    biasOf = (lane) => dialect.value(bias.input, plus('4 * this.thread.x', lane, bias.offset));
  }
  const names = cells.map((sums) =>
    sums.map((sum, lane) => {
      const finished = finish(call, sum, biasOf(lane));
      lines.push(...finished.lines);
      return finished.name;
    }),
  );
  return { lines, names };
}

interface Finished {
  readonly lines: readonly string[];
  readonly names: readonly (readonly string[])[];
}

const sums = lanes.map((lane) => `s${lane}`);
const zeros = sums.map((sum) => `let ${sum} = 0.0;`);

/** Four rows, a quarter of m apart, by four columns: each cell that is read serves four cells of results. */
function quarteredBody(call: MatmulKernel, dialect: Dialect): string | undefined {
  const { m, k } = call;
  const [left, right] = [leftOperand(call), rightOperand(call)];
  if (!left.cells || !right.cells) return undefined;
  const parts = lanes.map((part) => lanes.map((lane) => `s${part}${lane}`));
  const rows = lanes.map((part) => {
    const place = plus(times(k / cellLength, 'this.thread.y'), (part * m * k) / 16, 'i');
    return `const l${part} = ${dialect.cell(left.input, left.at('0', place))};`;
  });
  const add = parts.flatMap((row, part) => row.map((sum, lane) => `${sum} += ${cellProduct(call, `l${part}`, lane)};`));
  const { lines, names } = finishRow(call, dialect, parts);
  return [
    ...parts.flat().map((sum) => `let ${sum} = 0.0;`),
    ...loop(k / cellLength, [...rows, ...rightCells(call, right, dialect, '0'), ...add]),
    ...lines,
    ...[1, 2, 3].map((part) => `part${part}(${names[part]!.join(', ')});`),
    `return [${names[0]!.join(', ')}];`,
  ].join('\n');
}

/** n is whole: the thread's four columns lie in one row. */
function rowBody(call: MatmulKernel, dialect: Dialect): string {
  const { lines, names } = finishRow(call, dialect, [sums]);
  return [...zeros, ...rowLoop(call, dialect), ...lines, `return [${names[0]!.join(', ')}];`].join('\n');
}

function rowLoop(call: MatmulKernel, dialect: Dialect): string[] {
  const { k, n, transposeRight, batch } = call;
  const [matrix, row, cell] = ['this.thread.z', 'this.thread.y', 'this.thread.x'];
  const [left, right] = [leftOperand(call), rightOperand(call)];
  if (left.cells && right.cells) {
    const l = `const l = ${dialect.cell(left.input, left.at(matrix, times(k / cellLength, row), 'i'))};`;
    const add = sums.map((sum, lane) => `${sum} += ${cellProduct(call, 'l', lane)};`);
    return loop(k / cellLength, [l, ...rightCells(call, right, dialect, matrix), ...add]);
  }
  const single = operand(call.left, batch?.leftStrides ?? [], batch, false);
  const l = `const l = ${dialect.value(single.input, single.at(matrix, leftPlace(call, row, 'i')))};`;
  if (right.cells && !transposeRight) {
    const r = `const r = ${dialect.cell(right.input, right.at(matrix, times(n / cellLength, 'i'), cell))};`;
    return loop(k, [l, r, ...sums.map((sum, lane) => `${sum} += l * r[${lane}];`)]);
  }
  const values = operand(call.right, batch?.rightStrides ?? [], batch, false);
  const add = sums.map((sum, lane) => {
    const place = rightPlace(call, 'i', plus(times(cellLength, cell), lane));
    return `${sum} += l * ${dialect.value(values.input, values.at(matrix, place))};`;
  });
  return loop(k, [l, ...add]);
}

interface Place {
  readonly matrix: string;
  readonly row: string;
  readonly column: string;
}

/** A cell may reach over the end of a row: each of its values finds its own row and column. */
function scatteredBody(call: MatmulKernel, dialect: Dialect): string {
  const { m, n, batch, bias } = call;
  const places = lanes.map((lane) => {
    const element = plus('4 * this.thread.x', lane);
    const within = batch === undefined ? element : remainder(element, m * n);
    return { matrix: quotient(element, m * n), row: quotient(within, n), column: remainder(within, n) };
  });
  const results = sums.map((sum, lane) =>
    finish(call, sum, bias && dialect.value(bias.input, plus(places[lane]!.column, bias.offset))),
  );
  return [
    ...zeros,
    ...scatteredLoop(call, dialect, places),
    ...results.flatMap(({ lines }) => lines),
    `return [${results.map(({ name }) => name).join(', ')}];`,
  ].join('\n');
}

function scatteredLoop(call: MatmulKernel, dialect: Dialect, places: readonly Place[]): string[] {
  const { k, transposeRight, batch } = call;
  const left = leftOperand(call);
  const values = operand(call.right, batch?.rightStrides ?? [], batch, false);
  if (!left.cells) {
    const add = places.map(({ matrix, row, column }, lane) => {
      const l = dialect.value(left.input, left.at(matrix, leftPlace(call, row, 'i')));
      return `s${lane} += ${l} * ${dialect.value(values.input, values.at(matrix, rightPlace(call, 'i', column)))};`;
    });
    return loop(k, add);
  }
  const right = operand(call.right, batch?.rightStrides ?? [], batch, transposeRight);
  const statements = places.flatMap(({ matrix, row, column }, lane) => {
    const l = `const l${lane} = ${dialect.cell(left.input, left.at(matrix, times(k / cellLength, row), 'i'))};`;
    if (right.cells) {
      const r = dialect.cell(right.input, right.at(matrix, times(k / cellLength, column), 'i'));
      return [l, `const r${lane} = ${r};`, `s${lane} += ${dot(`l${lane}`, (j) => `r${lane}[${j}]`)};`];
    }
    const r = (j: number): string =>
      dialect.value(values.input, values.at(matrix, rightPlace(call, plus('4 * i', j), column)));
    return [l, `s${lane} += ${dot(`l${lane}`, r)};`];
  });
  return loop(k / cellLength, statements);
}
