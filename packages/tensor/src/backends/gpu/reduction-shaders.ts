/** Shaders that reduce, over axes and over windows of images, and those of indices. */
import type { GatherCall } from '../../backend.ts';
import { imageSize, type Windows, windowCount } from '../../shape.ts';
import { cellLength, type KernelSource } from './device.ts';
import {
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
  returnSums,
  type Source,
  sumLoop,
  type Target,
  type Threads,
  times,
  zeroSums,
} from './shaders.ts';

interface ReduceShader {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly source: Source;
  /** Multiplies the values of a sum with inner = 1. */
  readonly factor?: Source | undefined;
}

export function sumShader(call: ReduceShader, target: Target): KernelSource {
  const { outer, length, inner, source } = call;
  const { dialect } = target;
  const threads: Threads = [inner / cellLength, outer, 1];
  if (!isWhole(inner) || !isWhole(source.offset) || !fits(target, threads)) {
    return partialSumShader(call, 1, length, target);
  }
  const cells = inner / cellLength;
  const row = times(length * cells, 'this.thread.y');
  const index = plus(row, times(cells, 'i'), 'this.thread.x', source.offset / cellLength);
  const add = lanes.map((lane) => `s${lane} += c[${lane}];`);
  const lines = sumLoop(length, [`const c = ${dialect.cell(source.input, index)};`, ...add]);
  return { ...flatKernel(1, outer * inner, lines), threads };
}

/** Value `index` along the axis, for the lane's result. */
function valueAt({ length, inner, source }: ReduceShader, lane: number, index: string, { dialect }: Target): string {
  const element = elementAt(lane);
  const row = times(length * inner, quotient(element, inner));
  const start = plus(row, remainder(element, inner), source.offset);
  return dialect.value(source.input, plus(start, times(inner, index)));
}

/** Sums of `parts` runs of the axis, each of `step` values except the last: `-> [outer, parts, inner]`. */
export function partialSumShader(call: ReduceShader, parts: number, step: number, { dialect }: Target): KernelSource {
  const { outer, length, inner, source, factor } = call;
  const add = lanes.map((lane) => {
    const element = elementAt(lane);
    const at = parts === 1 ? 'i' : plus(times(step, remainder(quotient(element, inner), parts)), 'i');
    const row = times(length * inner, quotient(element, inner * parts));
    const value = ({ input, offset }: Source): string =>
      dialect.value(input, plus(row, times(inner, at), remainder(element, inner), offset));
    const addValue = `s${lane} += ${value(source)}${factor === undefined ? '' : ` * ${value(factor)}`};`;
    return parts * step === length ? addValue : `if (${at} < ${length}) { ${addValue} }`;
  });
  // Values and factors may lie in one array.
  const inputs = 1 + Math.max(source.input, factor?.input ?? 0);
  return flatKernel(inputs, outer * parts * inner, sumLoop(step, add));
}

/** The largest or smallest value, or the index of the first largest. A NaN, which differs from itself, propagates. */
export function selectShader(call: ReduceShader, reduction: 'argmax' | 'max' | 'min', target: Target): KernelSource {
  const { outer, length, inner } = call;
  const [better, orEqual] = reduction === 'min' ? ['<', '<='] : ['>', '>='];
  const best = reduction === 'argmax' ? 'm' : 's';
  const first = lanes.map((lane) => `let ${best}${lane} = ${valueAt(call, lane, '0', target)};`);
  const indices = reduction === 'argmax' ? zeroSums : [];
  const next = lanes.flatMap((lane) => {
    const [c, m, s] = [`c${lane}`, `m${lane}`, `s${lane}`];
    return [
      `const ${c} = ${valueAt(call, lane, 'i', target)};`,
      reduction === 'argmax'
        ? `if (${m} === ${m} && (${c} > ${m} || ${c} !== ${c})) { ${m} = ${c}; ${s} = i; }`
        : `${s} = (${c} ${better} ${s} ? ${c} : (${s} ${orEqual} ${c} ? ${s} : ${s} + ${c}));`,
    ];
  });
  return flatKernel(1, outer * inner, [...first, ...indices, ...loop(length, next), returnSums]);
}

/** Results in one row of channels: the four of a cell if the channels are whole cells, else one. */
interface Group {
  readonly lanes: readonly number[];
  /** Index of the row of channels in the whole result. */
  readonly row: string;
  /** Index of the cell within the row, or of the channel. */
  readonly channel: string;
  readonly whole: boolean;
}

/**
 * Splits a result of `rows` rows of channels into groups. If each thread has one group of four, returns threads too.
 */
function groupsOf(rows: number, channels: number, sources: readonly Source[], target: Target) {
  const threads: Threads = [channels / cellLength, rows, 1];
  if (isWhole(channels) && sources.every(({ offset }) => isWhole(offset)) && fits(target, threads)) {
    const groups: readonly Group[] = [{ lanes, row: 'this.thread.y', channel: 'this.thread.x', whole: true }];
    return { threads, groups };
  }
  const groups = lanes.map((lane): Group => {
    const element = elementAt(lane);
    return { lanes: [lane], row: quotient(element, channels), channel: remainder(element, channels), whole: false };
  });
  return { threads: undefined, groups };
}

type Grouping = ReturnType<typeof groupsOf>;

function shader(inputs: number, length: number, { threads }: Grouping, lines: readonly string[]): KernelSource {
  const flat = flatKernel(inputs, length, lines);
  return threads === undefined ? flat : { ...flat, threads };
}

/** Reads a group's channels of a row: a declaration, and the name of a lane's value. */
function readRow(
  { dialect }: Target,
  { lanes: [first], channel, whole }: Group,
  source: Source,
  channels: number,
  row: string,
  prefix = 'c',
) {
  const name = `${prefix}${first}`;
  const unit = whole ? cellLength : 1;
  const index = plus(times(channels / unit, row), channel, source.offset / unit);
  const read = whole ? dialect.cell(source.input, index) : dialect.value(source.input, index);
  return { declaration: `const ${name} = ${read};`, value: (lane: number) => (whole ? `${name}[${lane}]` : name) };
}

/** Expressions for the position of pixel `row` in the images. */
function pixelOf(row: string, height: number, width: number) {
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

/** Row of the window that has pixel `row` at its place (ky, kx), and whether there is such a window. */
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

/** Images -> [windows, windowHeight * windowWidth * channels], with 0 for padding. */
export function unfoldShader(windows: Windows, source: Source, target: Target): KernelSource {
  const { windowHeight, windowWidth, channels } = windows;
  const places = windowHeight * windowWidth;
  const rows = windowCount(windows) * places;
  const grouping = groupsOf(rows, channels, [source], target);
  const lines = grouping.groups.flatMap((group) => {
    const place = remainder(group.row, places);
    const [ky, kx] = [quotient(place, windowWidth), remainder(place, windowWidth)];
    const { pixel, inside } = pixelUnder(windows, quotient(group.row, places), ky, kx);
    const { declaration, value } = readRow(target, group, source, channels, pixel);
    return [`if (${inside}) {`, declaration, ...group.lanes.map((lane) => `s${lane} = ${value(lane)};`), '}'];
  });
  return shader(1, rows * channels, grouping, [...zeroSums, ...lines, returnSums]);
}

/** Sum or largest value under each window, or the place of the first largest; a NaN counts as largest. */
export function poolShader(
  windows: Windows,
  result: 'sum' | 'max' | 'argmaxIndices',
  source: Source,
  target: Target,
): KernelSource {
  const { channels, windowWidth } = windows;
  const rows = windowCount(windows);
  const grouping = groupsOf(rows, channels, [source], target);
  const statements = grouping.groups.flatMap((group) => {
    const { pixel, inside } = pixelUnder(windows, group.row, 'ky', 'kx');
    const { declaration, value } = readRow(target, group, source, channels, pixel);
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
  const end = result === 'max' ? 'return [m0, m1, m2, m3];' : returnSums;
  return shader(1, rows * channels, grouping, [...zeroSums, ...best, ...overWindow(windows, statements), end]);
}

/**
 * Values of windows -> images: each pixel sums the windows that cover it, or only those whose argmax it is. If
 * `unfolded`, a window has one value per place: [windows, windowHeight * windowWidth * channels].
 */
export function unpoolShader(
  windows: Windows,
  [source, argmaxIndices]: readonly Source[],
  inputs: number,
  target: Target,
  unfolded = false,
): KernelSource {
  const { channels, windowHeight, windowWidth } = windows;
  const place = plus(times(windowWidth, 'ky'), 'kx');
  const sources = argmaxIndices === undefined ? [source!] : [source!, argmaxIndices];
  const grouping = groupsOf(imageSize(windows) / channels, channels, sources, target);
  const statements = grouping.groups.flatMap((group) => {
    const { window, exists } = windowOver(windows, group.row, 'ky', 'kx');
    const row = unfolded ? plus(times(windowHeight * windowWidth, window), place) : window;
    const { declaration, value } = readRow(target, group, source!, channels, row);
    const indices = argmaxIndices && readRow(target, group, argmaxIndices, channels, window, 'w');
    const add = group.lanes.map((lane) => {
      const plain = `s${lane} += ${value(lane)};`;
      return indices ? `if (${indices.value(lane)} === ${place}) { ${plain} }` : plain;
    });
    return [`if (${exists}) {`, declaration, ...(indices ? [indices.declaration] : []), ...add, '}'];
  });
  const lines = [...zeroSums, ...overWindow(windows, statements), returnSums];
  return shader(inputs, imageSize(windows), grouping, lines);
}

type IndexSizes = Pick<GatherCall, 'length' | 'inner' | 'count' | 'ownIndices'>;

/** `[outer, length, inner] -> [outer, count, inner]`; array `specials` begins with NaN. */
export function gatherShader(
  call: IndexSizes,
  values: Source,
  indices: Source,
  { dialect }: Target,
  specials: number,
): string[] {
  const { length, inner, count, ownIndices } = call;
  const lines = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const position = remainder(quotient(element, inner), count);
    const index = dialect.value(indices.input, plus(ownIndices ? element : position, indices.offset));
    const row = times(length * inner, quotient(element, count * inner));
    const value = plus(row, times(inner, `whole(i${lane})`), remainder(element, inner), values.offset);
    return [
      `const i${lane} = ${index};`,
      `let v${lane} = ${dialect.value(specials, '0')};`,
      `if (i${lane} >= 0.0 && i${lane} < ${length} && Math.floor(i${lane}) === i${lane}) {`,
      `v${lane} = ${dialect.value(values.input, value)};`,
      '}',
    ];
  });
  return [...lines, returnCell(['v0', 'v1', 'v2', 'v3'])];
}

/** `[outer, count, inner] -> [outer, length, inner]`: each place sums the values with its index. */
export function scatterAddShader(call: IndexSizes, values: Source, indices: Source, { dialect }: Target): string[] {
  const { length, inner, count, ownIndices } = call;
  const add = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const place = remainder(quotient(element, inner), length);
    const row = times(count * inner, quotient(element, length * inner));
    const picked = plus(row, times(inner, 'i'), remainder(element, inner));
    const index = dialect.value(indices.input, plus(ownIndices ? picked : 'i', indices.offset));
    const value = dialect.value(values.input, plus(picked, values.offset));
    return [
      `const i${lane} = ${index};`,
      `const p${lane} = ${place};`,
      `if (i${lane} === p${lane}) { s${lane} += ${value}; }`,
    ];
  });
  return sumLoop(count, add);
}
