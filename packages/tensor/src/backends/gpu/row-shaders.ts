/** Calls on the rows of a matrix: a kernel of one thread for each row, then one for all values. */
import type {
  CrossEntropyCall,
  LayerNormCall,
  LayerNormGradientCall,
  SoftmaxCall,
  SoftmaxGradientCall,
} from '../../backend.ts';
import type { Placed } from '../calls.ts';
import { cellLength, type KernelSource } from './device.ts';
import type { Operands, Runner, Stretch } from './runner.ts';
import {
  elementAt,
  flatKernel,
  isWhole,
  lanes,
  literal,
  loop,
  plus,
  quotient,
  remainder,
  returnCell,
  type Source,
  type Target,
  times,
} from './shaders.ts';

type RowCalls = CrossEntropyCall | SoftmaxCall | SoftmaxGradientCall | LayerNormCall | LayerNormGradientCall;
type RowCall = Placed<RowCalls, Stretch>;

/** Expressions of one thread. */
interface Row {
  /** One for each matrix that the call reads: its value in a column. */
  readonly at: (matrix: number, column: string) => string;
  /** The value for the row, if the call reads one for each. */
  readonly own: string;
  /** Repeats statements for each column `i` that the row sees. */
  each(...statements: readonly string[]): string[];
  /** Only for the cross-entropy. */
  readonly nan: string;
}

interface RowKind<Call> {
  /** Row length. */
  columns(call: Call): number;
  readonly matrices: (call: Call) => readonly Stretch[];
  /** One value for each row. */
  readonly own?: (call: Call) => Stretch;
  /** Statements that set the statistics of a row: `a`, `b`, `c` and `d`, which are 0 before. */
  statistics(call: Call, row: Row): readonly string[];
  /** Value in a column, from the values of the matrices there and the statistics. */
  value(call: Call, matrices: readonly string[], statistics: readonly string[], column: string): string;
  /** The result that is written: values, or the statistic of this number. */
  results(call: Call): readonly (readonly [Stretch | undefined, Part])[];
}

type Part = 'values' | number;

/** The largest visible value; a NaN propagates. */
function largest({ at, each }: Row): string[] {
  return [`a = ${at(0, '0')};`, ...each(`const z = ${at(0, 'i')};`, 'a = (z > a ? z : (a >= z ? a : z + a));')];
}

type Scaled = Pick<SoftmaxCall, 'temperature'>;

function power({ temperature }: Scaled, value: string, most: string): string {
  return `Math.exp((${value} - ${most}) / ${literal(temperature)})`;
}

const kinds: { readonly [Kind in RowCall['kind']]: RowKind<Extract<RowCall, { kind: Kind }>> } = {
  crossEntropy: {
    columns: ({ classes }) => classes,
    matrices: ({ logits }) => [logits],
    own: ({ labels }) => labels,
    statistics: (_, row) => [
      ...largest(row),
      `d = ${row.own};`,
      'let atLabel = 0.0;',
      'let found = 0.0;',
      ...row.each(
        `const shifted = ${row.at(0, 'i')} - a;`,
        'b += Math.exp(shifted);',
        'if (d === i) { atLabel = shifted; found = 1.0; }',
      ),
      `if (found === 0.0) { b = ${row.nan}; atLabel = b; }`,
      'c = Math.log(b) - atLabel;',
    ],
    value: (_, [z], [a, b, _c, d], column) => `Math.exp(${z} - ${a}) / ${b} - (${d} === ${column} ? 1.0 : 0.0)`,
    results: ({ losses, gradient }) => [
      [losses, 2],
      [gradient, 'values'],
    ],
  },
  softmax: {
    columns: ({ columns }) => columns,
    matrices: ({ input }) => [input],
    statistics: (call, row) => [...largest(row), ...row.each(`b += ${power(call, row.at(0, 'i'), 'a')};`)],
    value: (call, [x], [a, b]) => `${power(call, x!, a!)} / ${b}`,
    results: ({ output }) => [[output, 'values']],
  },
  softmaxGradient: {
    columns: ({ columns }) => columns,
    matrices: ({ gradient, probabilities }) => [gradient, probabilities],
    statistics: (_, { at, each }) => each(`a += ${at(0, 'i')} * ${at(1, 'i')};`),
    value: ({ temperature }, [g, y], [a]) => `${y} * (${g} - ${a}) / ${literal(temperature)}`,
    results: ({ output }) => [[output, 'values']],
  },
  layerNorm: {
    columns: ({ columns }) => columns,
    matrices: ({ input }) => [input],
    statistics: ({ columns, epsilon }, { at, each }) => [
      ...each(`a += ${at(0, 'i')};`),
      `a = a / ${columns};`,
      ...each(`const difference = ${at(0, 'i')} - a;`, 'b += difference * difference;'),
      `b = 1.0 / Math.sqrt(b / ${columns} + ${literal(epsilon)});`,
    ],
    value: (_, [x], [a, b]) => `(${x} - ${a}) * ${b}`,
    results: ({ output, inverseDeviations }) => [
      [output, 'values'],
      [inverseDeviations, 1],
    ],
  },
  layerNormGradient: {
    columns: ({ columns }) => columns,
    matrices: ({ gradient, normalized }) => [gradient, normalized],
    own: ({ inverseDeviations }) => inverseDeviations,
    statistics: ({ columns }, { at, own, each }) => [
      ...each(`const g = ${at(0, 'i')};`, 'a += g;', `b += g * ${at(1, 'i')};`),
      `a = a / ${columns};`,
      `b = b / ${columns};`,
      `c = ${own};`,
    ],
    value: (_, [g, y], [a, b, c]) => `${c} * ((${g} - ${a}) - ${y} * ${b})`,
    results: ({ output }) => [[output, 'values']],
  },
};

function kindOf(call: RowCall): RowKind<RowCall> {
  return kinds[call.kind] as RowKind<RowCall>;
}

const names = ['a', 'b', 'c', 'd'] as const;

/** Number of columns that a row of a causal call sees. */
function visible(call: RowCall, columns: number, row: string): string | undefined {
  const period = 'period' in call ? call.period : undefined;
  return period === undefined ? undefined : plus(columns - period + 1, remainder(row, period));
}

/** A cell of statistics for each row; the last array begins with NaN if the call needs it. */
function statisticsShader(
  call: RowCall,
  sources: readonly Source[],
  inputs: number,
  { dialect }: Target,
): KernelSource {
  const kind = kindOf(call);
  const columns = kind.columns(call);
  const seen = visible(call, columns, 'this.thread.x');
  const own = sources.at(-1)!;
  const row: Row = {
    at(matrix, column) {
      const { input, offset } = sources[matrix]!;
      return dialect.value(input, plus(times(columns, 'this.thread.x'), column, offset));
    },
    own: dialect.value(own.input, plus('this.thread.x', own.offset)),
    each(...statements) {
      return loop(columns, seen === undefined ? statements : [`if (i < ${seen}) {`, ...statements, '}']);
    },
    nan: dialect.value(inputs - 1, '0'),
  };
  const zeros = names.map((name) => `let ${name} = 0.0;`);
  return flatKernel(inputs, cellLength * call.rows, [...zeros, ...kind.statistics(call, row), returnCell(names)]);
}

/** The values of all columns; the last array holds the statistics. */
function valuesShader(call: RowCall, { arrays, sources: matrices }: Operands, { dialect }: Target): KernelSource {
  const kind = kindOf(call);
  const columns = kind.columns(call);
  const inCells = isWhole(columns) && matrices.every(({ offset }) => isWhole(offset));
  const rowOf = (lane: number): string =>
    inCells ? quotient('this.thread.x', columns / cellLength) : quotient(elementAt(lane), columns);
  const columnOf = (lane: number): string =>
    inCells
      ? plus(times(cellLength, remainder('this.thread.x', columns / cellLength)), lane)
      : remainder(elementAt(lane), columns);
  const statistics = (lane: number): string => `const t${lane} = ${dialect.cell(arrays.length - 1, rowOf(lane))};`;
  const lines = inCells
    ? [
        statistics(0),
        ...matrices.map(({ input, offset }, matrix) => {
          return `const m${matrix} = ${dialect.cell(input, plus('this.thread.x', offset / cellLength))};`;
        }),
      ]
    : lanes.map(statistics);
  const results = lanes.map((lane) => {
    const values = matrices.map(({ input, offset }, matrix) =>
      inCells ? `m${matrix}[${lane}]` : dialect.value(input, plus(elementAt(lane), offset)),
    );
    const own = names.map((_, statistic) => `t${inCells ? 0 : lane}[${statistic}]`);
    const [column, seen] = [columnOf(lane), visible(call, columns, rowOf(lane))];
    const value = kind.value(call, values, own, column);
    lines.push(`const v${lane} = ${seen === undefined ? value : `(${column} < ${seen} ? ${value} : 0.0)`};`);
    return `v${lane}`;
  });
  return flatKernel(arrays.length, call.rows * columns, [...lines, returnCell(results)]);
}

/** One statistic of each row, from the array of all. */
function statisticShader(rows: number, statistic: number, { dialect }: Target): KernelSource {
  const values = lanes.map((lane) => dialect.value(0, plus(times(cellLength, elementAt(lane)), statistic)));
  return flatKernel(1, rows, [returnCell(values)]);
}

export function lowerRows(call: RowCall, runner: Runner): () => void {
  const { device } = runner;
  const kind = kindOf(call);
  const matrices = kind.matrices(call);
  const read = kind.own === undefined ? matrices : [...matrices, kind.own(call)];
  const written = kind.results(call).filter((result): result is [Stretch, Part] => result[0] !== undefined);
  const kernels = runner.kernels();
  const statisticsOf = runner.over(
    read,
    (sources, inputs) => statisticsShader(call, sources, inputs, device),
    call.kind === 'crossEntropy',
  );
  return () => {
    const statistics = statisticsOf();
    // Computes all results before writing any: an output may overwrite an input.
    const computed = written.map(([, part]) => {
      if (part !== 'values') {
        return device.run(
          kernels(`statistic ${part}`, () => statisticShader(call.rows, part, device)),
          [statistics],
        );
      }
      const operands = runner.operands(matrices, [statistics]);
      return device.run(
        kernels(operands.key, () => valuesShader(call, operands, device)),
        operands.arrays,
      );
    });
    device.release(statistics);
    written.forEach(([stretch], index) => {
      runner.write(stretch, computed[index]!);
    });
  };
}
