/** Exhibits and paragraphs of the lesson as text for a terminal. */
import { formatTable, wrapText } from '@lockstep/command';
import {
  type Bars,
  barAxis,
  barOn,
  type Code,
  type Curves,
  curveText,
  type Exhibit,
  type Figures,
  type Graph,
  type Grid,
  isNumericColumn,
  type LiveCurves,
  type Neurons,
  type Pictures,
  type Plane,
  partsOf,
  silentNeurons,
  type Table,
} from '@lockstep/lesson';

const width = 80;
/** Widths in characters of bars, of curves, and of shaded planes. */
const [barWidth, curveWidth, planeWidth] = [40, 40, 48];
/** A character is about twice as high as it is wide. */
const aspect = 2;

type Printers = { readonly [Kind in Exhibit['kind']]: (exhibit: Extract<Exhibit, { kind: Kind }>) => string };

const printers: Printers = {
  figures: printFigures,
  table: printTable,
  bars: printBars,
  curves: printCurves,
  'live-curves': printLiveCurves,
  code: printCode,
  pictures: printPictures,
  grid: printGrid,
  plane: printPlane,
  neurons: printNeurons,
  graph: printGraph,
};

export function printExhibit(exhibit: Exhibit): string {
  const print = printers[exhibit.kind] as (exhibit: Exhibit) => string;
  return print(exhibit);
}

/** A terminal has no room for pictures of many neurons: prints how many there are, and how many give 0 everywhere. */
function printNeurons({ caption, layers, rows, columns }: Neurons): string {
  const lines = layers.map(({ neurons, values }, layer) => {
    const shown = values.length / (rows * columns);
    const silent = silentNeurons(values, rows * columns);
    return [`  layer ${layer + 1}`, `${neurons} neurons`, `${silent} of the first ${shown} give 0 everywhere`];
  });
  return `${caption}:\n${formatTable([{}, {}, {}], lines)}`;
}

function printFigures({ figures }: Figures): string {
  return formatTable(
    [{}, {}],
    figures.map(({ label, value }) => [label, value]),
  );
}

function printTable(table: Table): string {
  const { caption, header, rows } = table;
  const columns = header.map((text, column) => ({
    header: text,
    align: isNumericColumn(table, column) ? ('right' as const) : ('left' as const),
  }));
  return `${caption}:\n${formatTable(
    columns,
    rows.map((row) => row.map(String)),
    '  ',
  )}`;
}

/** Bars on one axis, with its ends labeled below; negative bars end at 0. */
function printBars(exhibit: Bars): string {
  const axis = barAxis(exhibit);
  const rows = exhibit.bars.map(({ label, value, text }) => {
    const { start, length } = barOn(axis, value);
    return [label, text, ' '.repeat(Math.round(barWidth * start)) + barText(barWidth * length)];
  });
  const ends = `${axis.fromText.padEnd(barWidth - axis.toText.length)}${axis.toText}`;
  return `${exhibit.caption}:\n${formatTable([{ align: 'right' }, { align: 'right' }, {}], [...rows, ['', '', ends]], '  ')}`;
}

function printCurves({ caption, xLabel, x, series, isLogarithmic = false }: Curves): string {
  const scale = isLogarithmic ? Math.log : (value: number): number => value;
  const drawn = series.map(({ label, values }) => ({ label, values, heights: values.map(scale) }));
  const range = rangeOf(drawn.flatMap(({ heights }) => heights));
  const rows = drawn.map(({ label, values, heights }) => curveRow(label, values, heights, range));
  return `${caption} (${xLabel} ${short(x[0]!)} to ${short(x.at(-1)!)}):\n${formatTable(curveColumns, rows, '  ')}`;
}

const curveColumns = [{}, { align: 'right' }, {}, { align: 'right' }] as const;

function rangeOf(heights: readonly number[]): readonly [low: number, high: number] {
  const finite = heights.filter(Number.isFinite);
  return [Math.min(...finite), Math.max(...finite)];
}

/** A curve's name, its first value, its heights as a line of characters, and its last value. */
function curveRow(
  label: string,
  values: readonly number[],
  heights: readonly number[],
  [low, high]: readonly number[],
) {
  const width = Math.min(curveWidth, heights.length);
  const at = (place: number): number =>
    heights[width === 1 ? 0 : Math.round((place * (heights.length - 1)) / (width - 1))]!;
  const line = Array.from({ length: width }, (_, place) => levelText(at(place), low!, high!)).join('');
  return [label, short(values[0]!), line, short(values.at(-1)!)];
}

function printLiveCurves({ caption, curves }: LiveCurves): string {
  const texts = curves.map((curve) => {
    const { label, steps, losses, accuracies, changes } = curve;
    if (steps.length === 0) return `  Curve ${label}: ${curveText(curve)}`;
    const percents = accuracies.map((accuracy) => 100 * accuracy);
    const rows = [
      curveRow('batch loss', losses, losses, rangeOf(losses)),
      curveRow('test accuracy, %', percents, percents, rangeOf(percents)),
    ];
    const changed = changes.map(({ step, text }) => `  after step ${step}: ${text}`);
    const title = `  Curve ${label} (step ${steps[0]} to ${steps.at(-1)}):`;
    return [title, formatTable(curveColumns, rows, '    '), ...changed, `    ${curveText(curve)}`].join('\n');
  });
  return [`${caption}:`, ...texts].join('\n');
}

function printCode({ caption, lines }: Code): string {
  const rows = lines.map(({ code, note }) => [code, `// ${note}`]);
  const beside = formatTable([{}, {}], rows, '  ');
  if (beside.split('\n').every(({ length }) => length <= width)) return `${caption}:\n${beside}`;
  return `${caption}:\n${lines.map(({ code, note }) => `  // ${note}\n  ${code}`).join('\n')}`;
}

/** Prints only the texts: a row of pictures is wider than a terminal. */
function printPictures({ caption, pictures }: Pictures): string {
  return `${caption}:\n${pictures.map(({ text }) => `  ${text}`).join('\n')}`;
}

function printGrid({ caption, rows, columns, values, showsNumbers = false }: Grid): string {
  const line = (row: number): readonly number[] => values.slice(row * columns, (row + 1) * columns);
  const lines = Array.from({ length: rows }, (_, row) => line(row));
  if (showsNumbers) {
    const table = formatTable(
      Array.from({ length: columns }, () => ({ align: 'right' as const })),
      lines.map((row) => row.map(short)),
      '  ',
    );
    return `${caption}:\n${table}`;
  }
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const shades = lines.map((row) => `  ${row.map((value) => shadeOf(value, low, high).repeat(aspect)).join('')}`);
  return `${caption}:\n${shades.join('\n')}`;
}

function printPlane({ caption, x, y, field, points = [], arrows = [], path = [] }: Plane): string {
  const height = planeWidth / aspect;
  const cells = Array.from({ length: height }, (_, row) =>
    Array.from({ length: planeWidth }, (_, column) => {
      if (!field) return ' ';
      const from = Math.floor(((row + 0.5) / height) * field.rows) * field.columns;
      const value = field.values[from + Math.floor(((column + 0.5) / planeWidth) * field.columns)]!;
      return shadeOf(value, field.low, field.high);
    }),
  );
  const mark = (atX: number, atY: number, text: string): void => {
    const column = Math.floor(((atX - x[0]) / (x[1] - x[0])) * planeWidth);
    const row = Math.floor(((y[1] - atY) / (y[1] - y[0])) * height);
    if (cells[row]?.[column] !== undefined) cells[row][column] = text;
  };
  for (const [step, [atX, atY]] of path.entries()) mark(atX, atY, step === 0 ? 'S' : 'o');
  const end = path.at(-1);
  if (end) mark(end[0], end[1], 'E');
  for (const arrow of arrows) {
    for (let part = 0; part < 1; part += 0.04) mark(arrow.x * part, arrow.y * part, '·');
    mark(arrow.x, arrow.y, arrow.label);
  }
  for (const point of points) mark(point.x, point.y, point.isOn ? '1' : '0');
  return `${caption}:\n${cells.map((row) => `  ${row.join('')}`.trimEnd()).join('\n')}`;
}

function printGraph({ caption, nodes }: Graph): string {
  const columns = [
    { header: 'node' },
    { header: 'is' },
    { header: 'value', align: 'right' },
    { header: 'gradient', align: 'right' },
  ] as const;
  const rows = nodes.map(({ id, formula, from, value, gradient }) => [
    id,
    from.length === 0 ? 'an input' : formula,
    value.toFixed(4),
    gradient.toFixed(4),
  ]);
  return `${caption}:\n${formatTable(columns, rows, '  ')}`;
}

function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}

const shades = [' ', '░', '▒', '▓', '█'];
const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** Index of the value among `count` equal parts of the range; values outside count as the first or last part. */
function partOf(value: number, low: number, high: number, count: number): number {
  const part = high > low ? Math.floor(((value - low) / (high - low)) * count) : 0;
  return Math.max(0, Math.min(count - 1, part));
}

function shadeOf(value: number, low: number, high: number): string {
  return shades[partOf(value, low, high, shades.length)]!;
}

/** The character for one point of a curve; a blank if the value is not finite. */
function levelText(value: number, low: number, high: number): string {
  return Number.isFinite(value) ? levels[partOf(value, low, high, levels.length)]! : ' ';
}

/** A bar of this length in characters, to an eighth. */
function barText(length: number): string {
  const whole = Math.floor(length + 1 / 16);
  return '█'.repeat(whole) + eighths[Math.max(0, Math.round((length - whole) * 8)) % 8]!;
}

export function wrapped(paragraph: string): string {
  const plain = partsOf(paragraph).map(({ text }) => text);
  return wrapText(plain.join(''), width).join('\n');
}
