/** The texts of kernels over windows that slide over images: unfolding, folding back, pooling and its gradient. */
import { type Windows, windowCount } from '../../../windows.ts';
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

type Limits = Pick<Device, 'maxThreads'>;

/** Results that share a row of channels: four in one cell where channels come in fours, else each by itself. */
interface Group {
  readonly lanes: readonly number[];
  /** Which row of channels, counted over the whole result. */
  readonly row: string;
  /** The cell within the row, or the channel. */
  readonly channel: string;
  readonly whole: boolean;
}

function groupsOf(
  rows: number,
  channels: number,
  sources: readonly Source[],
  limits: Limits,
): {
  readonly threads: Threads;
  readonly groups: readonly Group[];
} {
  const grid: Threads = [channels / cellLength, rows, 1];
  if (isWhole(channels) && sources.every(({ offset }) => isWhole(offset)) && fits(limits, grid)) {
    return { threads: grid, groups: [{ lanes, row: 'this.thread.y', channel: 'this.thread.x', whole: true }] };
  }
  const groups = lanes.map((lane) => {
    const element = plus('4 * this.thread.x', lane);
    return { lanes: [lane], row: quotient(element, channels), channel: remainder(element, channels), whole: false };
  });
  return { threads: flatThreads(rows * channels), groups };
}

/** Reads a group's channels of a row: a declaration, and the name of each lane's value. */
function readRow(
  dialect: Dialect,
  { lanes: [first], channel, whole }: Group,
  source: Source,
  channels: number,
  row: string,
  prefix = 'c',
): {
  readonly declaration: string;
  readonly value: (lane: number) => string;
} {
  const name = `${prefix}${first}`;
  const unit = whole ? cellLength : 1;
  const index = plus(times(channels / unit, row), channel, source.offset / unit);
  const read = whole ? dialect.cell(source.input, index) : dialect.value(source.input, index);
  return { declaration: `const ${name} = ${read};`, value: (lane) => (whole ? `${name}[${lane}]` : name) };
}

/** Expressions for the place of pixel `row` of images. */
function pixelOf(row: string, height: number, width: number): { image: string; y: string; x: string } {
  return {
    image: quotient(row, height * width),
    y: remainder(quotient(row, width), height),
    x: remainder(row, width),
  };
}

function both(...conditions: readonly string[]): string {
  return conditions.filter((condition) => condition !== '').join(' && ') || '0 === 0';
}

/** Row of the pixel at (ky, kx) under window `row`, and whether it lies inside the image. */
function pixelUnder(windows: Windows, row: string, ky: string, kx: string): { pixel: string; inside: string } {
  const { height, width, outputHeight, outputWidth, strideHeight, strideWidth, paddingHeight, paddingWidth } = windows;
  const window = pixelOf(row, outputHeight, outputWidth);
  const y = `${plus(times(strideHeight, window.y), ky)} - ${paddingHeight}`;
  const x = `${plus(times(strideWidth, window.x), kx)} - ${paddingWidth}`;
  return {
    pixel: plus(times(height * width, window.image), times(width, y), x),
    inside: both(`${y} >= 0`, `${y} < ${height}`, `${x} >= 0`, `${x} < ${width}`),
  };
}

/** Row of the window that has pixel `row` at its place (ky, kx), and whether there is one. */
function windowOver(windows: Windows, row: string, ky: string, kx: string): { window: string; exists: string } {
  const { height, width, outputHeight, outputWidth, strideHeight, strideWidth, paddingHeight, paddingWidth } = windows;
  const pixel = pixelOf(row, height, width);
  const y = `${plus(pixel.y, paddingHeight)} - ${ky}`;
  const x = `${plus(pixel.x, paddingWidth)} - ${kx}`;
  const on = (place: string, stride: number): string => (stride === 1 ? '' : `${remainder(place, stride)} === 0`);
  const [windowY, windowX] = [quotient(y, strideHeight), quotient(x, strideWidth)];
  return {
    window: plus(times(outputHeight * outputWidth, pixel.image), times(outputWidth, windowY), windowX),
    exists: both(
      `${y} >= 0`,
      on(y, strideHeight),
      `${windowY} < ${outputHeight}`,
      `${x} >= 0`,
      on(x, strideWidth),
      `${windowX} < ${outputWidth}`,
    ),
  };
}

function overWindow({ windowHeight, windowWidth }: Windows, statements: readonly string[]): string[] {
  return [
    `for (let ky = 0; ky < ${windowHeight}; ky++) {`,
    `for (let kx = 0; kx < ${windowWidth}; kx++) {`,
    ...statements,
    '}',
    '}',
  ];
}

const results = 'return [s0, s1, s2, s3];';
const zeros = lanes.map((lane) => `let s${lane} = 0.0;`);

function kernel(inputs: number, length: number, threads: Threads, lines: readonly string[]): KernelSource {
  return { inputs, length, threads, body: lines.join('\n') };
}

/** Images -> [windows, windowHeight * windowWidth * channels], 0 where a window covers padding. */
export function unfoldKernel(windows: Windows, source: Source, dialect: Dialect, limits: Limits): KernelSource {
  const { windowHeight, windowWidth, channels } = windows;
  const places = windowHeight * windowWidth;
  const rows = windowCount(windows) * places;
  const { threads, groups } = groupsOf(rows, channels, [source], limits);
  const lines = groups.flatMap((group) => {
    const place = remainder(group.row, places);
    const [ky, kx] = [quotient(place, windowWidth), remainder(place, windowWidth)];
    const { pixel, inside } = pixelUnder(windows, quotient(group.row, places), ky, kx);
    const { declaration, value } = readRow(dialect, group, source, channels, pixel);
    return [`if (${inside}) {`, declaration, ...group.lanes.map((lane) => `s${lane} = ${value(lane)};`), '}'];
  });
  return kernel(1, rows * channels, threads, [...zeros, ...lines, results]);
}

/** [windows, windowHeight * windowWidth * channels] -> images: each pixel adds up its places under windows. */
export function foldKernel(windows: Windows, source: Source, dialect: Dialect, limits: Limits): KernelSource {
  const { images, height, width, channels, windowHeight, windowWidth } = windows;
  const rows = images * height * width;
  const { threads, groups } = groupsOf(rows, channels, [source], limits);
  const statements = groups.flatMap((group) => {
    const { window, exists } = windowOver(windows, group.row, 'ky', 'kx');
    const row = plus(times(windowHeight * windowWidth, window), times(windowWidth, 'ky'), 'kx');
    const { declaration, value } = readRow(dialect, group, source, channels, row);
    return [`if (${exists}) {`, declaration, ...group.lanes.map((lane) => `s${lane} += ${value(lane)};`), '}'];
  });
  return kernel(1, rows * channels, threads, [...zeros, ...overWindow(windows, statements), results]);
}

/** The sum or the largest value under each window, or the place of the first largest; a NaN counts as largest. */
export function poolKernel(
  windows: Windows,
  result: 'sum' | 'max' | 'argmaxIndices',
  source: Source,
  dialect: Dialect,
  limits: Limits,
): KernelSource {
  const { channels, windowWidth } = windows;
  const rows = windowCount(windows);
  const { threads, groups } = groupsOf(rows, channels, [source], limits);
  const statements = groups.flatMap((group) => {
    const { pixel, inside } = pixelUnder(windows, group.row, 'ky', 'kx');
    const { declaration, value } = readRow(dialect, group, source, channels, pixel);
    const take = group.lanes.map((lane) => {
      const candidate = value(lane);
      if (result === 'sum') return `s${lane} += ${candidate};`;
      const better = `${candidate} > m${lane} || ${candidate} !== ${candidate}`;
      const place = plus(times(windowWidth, 'ky'), 'kx');
      return `if (f${lane} === 0.0 || (m${lane} === m${lane} && (${better}))) { m${lane} = ${candidate}; f${lane} = 1.0; s${lane} = ${place}; }`;
    });
    return [`if (${inside}) {`, declaration, ...take, '}'];
  });
  const best = result === 'sum' ? [] : lanes.flatMap((lane) => [`let m${lane} = 0.0;`, `let f${lane} = 0.0;`]);
  const end = result === 'max' ? 'return [m0, m1, m2, m3];' : results;
  return kernel(1, rows * channels, threads, [...zeros, ...best, ...overWindow(windows, statements), end]);
}

/** Windows' values -> images: each pixel adds up the windows that cover it, or those that it won. */
export function unpoolKernel(
  windows: Windows,
  source: Source,
  argmaxIndices: Source | undefined,
  inputs: number,
  dialect: Dialect,
  limits: Limits,
): KernelSource {
  const { images, height, width, channels, windowWidth } = windows;
  const rows = images * height * width;
  const sources = argmaxIndices === undefined ? [source] : [source, argmaxIndices];
  const { threads, groups } = groupsOf(rows, channels, sources, limits);
  const statements = groups.flatMap((group) => {
    const { window, exists } = windowOver(windows, group.row, 'ky', 'kx');
    const { declaration, value } = readRow(dialect, group, source, channels, window);
    const won = argmaxIndices && readRow(dialect, group, argmaxIndices, channels, window, 'w');
    const add = group.lanes.map((lane) => {
      const plain = `s${lane} += ${value(lane)};`;
      return won ? `if (${won.value(lane)} === ${plus(times(windowWidth, 'ky'), 'kx')}) { ${plain} }` : plain;
    });
    return [`if (${exists}) {`, declaration, ...(won ? [won.declaration] : []), ...add, '}'];
  });
  return kernel(inputs, rows * channels, threads, [...zeros, ...overWindow(windows, statements), results]);
}
