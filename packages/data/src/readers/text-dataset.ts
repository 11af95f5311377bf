/** Turns a text into samples: windows of running text, or lines; and learns its vocabulary. */

import { argumentKinds, checkArguments, checkWhole, DataError, objectWith, unexpected } from '../data-error.ts';
import { type Dataset, maxTokens, nextTargets, type Targets, tokenArray, tokenSamples } from '../dataset.ts';
import { defaultSplitSeed, heldOutCount, type SplitOptions, splitIndices } from '../order.ts';
import { plural, thousands } from '../shown.ts';
import { foundLine, type OpenedDataset } from './table-dataset.ts';
import { byteOrderMark, startsWith } from './text.ts';
import {
  createTextEncoder,
  decodePoints,
  mergePair,
  pairBase,
  pairKey,
  splitPieces,
  tokenNames,
  type Vocabulary,
  type VocabularyChoice,
  vocabularySize,
} from './vocabulary.ts';

/** Bytes of a text, read again by each pass, so that they are never held as a whole. */
export interface TextSource {
  readonly name: string;
  /** Parts of any size. */
  parts(): Iterable<Uint8Array>;
}

/** Texts that are read one after another, such as the files of a folder. */
interface Texts {
  readonly name: string;
  readonly files: readonly TextSource[];
}

/** How a text becomes tokens and samples. */
export interface TextOptions extends SplitOptions {
  /**
   * `characters`, `bytes`, or a number of tokens: bytes and the most frequent byte pairs. Default `characters`. A trained
   * model's vocabulary reads a text as in its training.
   */
  readonly vocabulary?: VocabularyChoice | undefined;
  /** Tokens that a model sees at once. Default 64; for lines, the longest. */
  readonly context?: number | undefined;
  /** Whether each line is a sample; by default, samples are windows of running text. */
  readonly lines?: boolean | undefined;
  /** The model's defaults for the options above; data that are no text ignore them. */
  readonly model?: Pick<TextOptions, 'context' | 'lines'> | undefined;
}

const defaultContext = 64;
const maxContext = 65_535;
/** Maximum length of the longest line if no context is given: longer lines are probably running text. */
const maxLineTokens = 1_024;
/** Running text trains on all but the last tenth, as is usual for language models. */
const defaultTestFraction = 0.1;
/** Byte pairs are learned from the beginning of a text, which bounds time and memory. */
const maxLearnedBytes = 2 ** 25;
const leastMergedSize = 257;

const units = { characters: 'characters', bytes: 'bytes', merges: 'tokens', words: 'words' } as const;

const sourceKind = objectWith('the source of a text', 'name', 'parts');

/**
 * Turns a text into samples of tokens, whose targets are the next tokens.
 * Running text is cut into windows that share one token, so that each token is predicted once; a rest shorter than a
 * window is dropped. The last tenth of the text validates. With `lines`, each line that is not empty is a sample,
 * and a seeded part of them validates. Line ends are kept as they are, except in lines; a byte order mark is not.
 * @throws DataError with one sentence that names the file
 */
export function datasetFromText(given: string | Uint8Array | TextSource, options: TextOptions = {}): OpenedDataset {
  checkArguments('datasetFromText', [argumentKinds.options, options]);
  const source = sourceOf(given);
  return datasetFromTexts({ name: source.name, files: [source] }, options);
}

/** Like `datasetFromText`, for files that are read one after another. @throws DataError that names the faulty file */
export function datasetFromTexts(source: Texts, options: TextOptions): OpenedDataset {
  const { context, vocabulary, lines = options.model?.lines ?? false } = options;
  if (context !== undefined) checkWhole('context', context, 1, maxContext);
  if (typeof vocabulary === 'number') checkWhole('vocabulary', vocabulary, leastMergedSize, maxTokens);
  return lines ? datasetFromLines(source, options) : datasetFromWindows(source, options);
}

function sourceOf(given: string | Uint8Array | TextSource): TextSource {
  const bytes = typeof given === 'string' ? new TextEncoder().encode(given) : given;
  if (bytes instanceof Uint8Array) return { name: 'text', parts: () => [bytes] };
  checkArguments('datasetFromText', [sourceKind, bytes]);
  return bytes;
}

function datasetFromWindows(source: Texts, options: TextOptions): OpenedDataset {
  const { context = options.model?.context ?? defaultContext, testFraction = defaultTestFraction } = options;
  const vocabulary = vocabularyOf(source, options.vocabulary);
  const count = encode(source, vocabulary, () => {});
  const windows = Math.floor((count - 1) / context);
  if (windows < (testFraction === 1 ? 1 : 2)) {
    const least = thousands(2 * context + 1);
    const expected = `at least ${least} tokens, two windows of ${context} and a token to predict`;
    throw unexpected(source.name, expected, count === 0 ? 'an empty text' : thousands(count));
  }
  const testCount = heldOutCount(windows, testFraction);
  const trainCount = windows - testCount;
  const size = vocabularySize(vocabulary);
  const train = tokenArray(trainCount * (context + 1), size);
  const test = tokenArray(testCount * (context + 1), size);
  let [window, column] = [0, 0];
  const put = (token: number): void => {
    const at = (window < trainCount ? window : window - trainCount) * (context + 1) + column;
    if (window < trainCount) train[at] = token;
    else if (window < windows) test[at] = token;
  };
  const again = encode(source, vocabulary, (token) => {
    put(token);
    if (column === context) {
      [window, column] = [window + 1, 0];
      put(token);
    }
    column += 1;
  });
  requireSame(source, count, again);
  const targets = nextTargets(tokenNames(vocabulary), context);
  const part = partOf(targets, context, size);
  const parts = `${thousands(trainCount)} to train, the last ${thousands(testCount)} to validate`;
  const what = `text of ${thousands(count)} ${units[vocabulary.kind]}, ${thousands(size)} different; ${plural(windows, 'window')} of ${context}, ${parts}`;
  return {
    ...{ train: part(train), test: part(test) },
    found: foundLine([source], what),
    reading: { type: 'text', vocabulary },
  };
}

/** Returns a function that makes a data set of samples, each of which predicts at a number of positions. */
function partOf(targets: Targets, positions: number, tokens: number) {
  return (values: Uint8Array | Uint16Array): Dataset => ({
    samples: tokenSamples(values, positions + 1, tokens),
    targets,
    count: values.length / (positions + 1),
  });
}

/** @returns the number of tokens */
function encode({ files }: Texts, vocabulary: Vocabulary, emit: (token: number) => void): number {
  let count = 0;
  for (const file of files) {
    encodeFile(file, vocabulary, (token) => {
      emit(token);
      count += 1;
    });
  }
  return count;
}

function encodeFile(file: TextSource, vocabulary: Vocabulary, emit: (token: number) => void): void {
  const encoding = createTextEncoder(vocabulary, file.name, emit);
  // Bytes are taken as they are; everything else is text.
  const parts = vocabulary.kind === 'bytes' ? file.parts() : withoutMark(file.parts());
  for (const part of parts) encoding.take(part);
  encoding.end();
}

function requireSame({ name }: Texts, count: number, again: number): void {
  if (again !== count) throw new DataError(`${name}: the file changed while it was read`);
}

/** Drops the byte order mark at the beginning of a text. */
function* withoutMark(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  /** The beginning of the text, until it is as long as the mark. */
  let begin: number[] | undefined = [];
  for (const part of parts) {
    if (!begin) {
      yield part;
      continue;
    }
    const taken: number = Math.min(part.length, byteOrderMark.length - begin.length);
    begin.push(...part.subarray(0, taken));
    if (begin.length < byteOrderMark.length) continue;
    if (!startsWith(begin, byteOrderMark)) yield Uint8Array.from(begin);
    begin = undefined;
    yield part.subarray(taken);
  }
  if (begin) yield Uint8Array.from(begin);
}

function vocabularyOf(source: Texts, asked: TextOptions['vocabulary'] = 'characters'): Vocabulary {
  if (typeof asked === 'object') return asked;
  if (asked === 'bytes') return { kind: 'bytes' };
  const isPresent = presentPoints(source);
  if (typeof asked === 'number') return { kind: 'merges', merges: learnMerges(source, asked) };
  return { kind: 'characters', tokens: charactersOf(source.name, isPresent) };
}

/** Returns, for each code point, whether the text contains it. @throws DataError unless the text is UTF-8 */
function presentPoints({ files }: Texts): Uint8Array {
  const isPresent = new Uint8Array(0x11_0000);
  for (const file of files) {
    const points = decodePoints(file.name, (point) => {
      if (point === 0) {
        throw unexpected(file.name, 'UTF-8 text', 'a file with NUL bytes: use --vocabulary bytes if it is not text');
      }
      isPresent[point] = 1;
    });
    for (const part of withoutMark(file.parts())) points.take(part);
    points.end();
  }
  return isPresent;
}

/** Returns the characters in the order of their code points. @throws DataError if there are too few or too many */
function charactersOf(name: string, isPresent: Uint8Array): string[] {
  const characters: string[] = [];
  for (let point = isPresent.indexOf(1); point >= 0; point = isPresent.indexOf(1, point + 1)) {
    characters.push(String.fromCodePoint(point));
  }
  if (characters.length === 0) throw unexpected(name, 'a text', 'an empty file');
  if (characters.length === 1) throw unexpected(name, 'at least 2 different characters', '1');
  if (characters.length <= maxTokens) return characters;
  const got = `${thousands(characters.length)}: use --vocabulary bytes, or --vocabulary 512 for bytes and byte pairs`;
  throw unexpected(name, `at most ${thousands(maxTokens)} different characters`, got);
}

/**
 * Learns byte pairs: the most frequent pair of neighbors becomes a token, again and again. Of equally frequent pairs,
 * the one whose first token is smaller is taken, then the one whose second token is. Ends early once no pair is repeated.
 * @param size of the vocabulary, which begins with 256 bytes
 */
function learnMerges(source: Texts, size: number): (readonly [number, number])[] {
  const counts = pieceCounts(source);
  const pieces = [...counts.keys()].map((piece) => Array.from(piece, (byte) => byte.charCodeAt(0)));
  const frequencies = [...counts.values()];
  /** For each pair: how often it occurs, and the pieces that contain it or have contained it. */
  const pairs = new Map<number, { count: number; readonly pieces: Set<number> }>();
  const change = (index: number, sign: 1 | -1): void => {
    const tokens = pieces[index]!;
    for (let at = 1; at < tokens.length; at += 1) {
      const key = pairKey(tokens[at - 1]!, tokens[at]!);
      const pair = pairs.get(key) ?? { count: 0, pieces: new Set() };
      pair.count += sign * frequencies[index]!;
      if (sign > 0) pair.pieces.add(index);
      pairs.set(key, pair);
    }
  };
  for (const index of pieces.keys()) change(index, 1);
  const merges: (readonly [number, number])[] = [];
  while (256 + merges.length < size) {
    let [best, most] = [-1, 1];
    for (const [key, { count }] of pairs) {
      if (count > most || (count === most && key < best)) [best, most] = [key, count];
    }
    if (best < 0) break;
    const merge = [Math.floor(best / pairBase), best % pairBase] as const;
    for (const index of pairs.get(best)!.pieces) {
      change(index, -1);
      mergePair(pieces[index]!, merge, 256 + merges.length);
      change(index, 1);
    }
    pairs.delete(best);
    merges.push(merge);
  }
  return merges;
}

function pieceCounts({ files }: Texts): Map<string, number> {
  const counts = new Map<string, number>();
  let left = maxLearnedBytes;
  for (const file of files) {
    const splitting = splitPieces((piece) => counts.set(piece, (counts.get(piece) ?? 0) + 1));
    for (const part of withoutMark(file.parts())) {
      splitting.take(part.subarray(0, left));
      left -= part.length;
      if (left <= 0) break;
    }
    splitting.end();
    if (left <= 0) break;
  }
  return counts;
}

function datasetFromLines({ name, files }: Texts, options: TextOptions): OpenedDataset {
  const withLineFeeds = files.map((file) => ({ name: file.name, parts: () => withoutCarriageReturns(file.parts()) }));
  const source = { name, files: withLineFeeds };
  const { context, vocabulary: asked } = options;
  if (asked !== undefined && asked !== 'characters' && (typeof asked !== 'object' || asked.kind !== 'characters')) {
    throw new DataError(`${name}: expected the vocabulary characters for lines, whose token 0 ends a line`);
  }
  const vocabulary = asked !== undefined && typeof asked === 'object' ? asked : lineVocabulary(source);
  const lengths: number[] = [];
  const most = context === undefined ? maxLineTokens : context - 1;
  eachLine(source, vocabulary, ({ length }, place, line) => {
    lengths.push(length);
    if (length <= most) return;
    const got = `${thousands(length)} in line ${line} that is not empty`;
    throw unexpected(place, `lines of at most ${thousands(most)} characters, whose end is predicted as well`, got);
  });
  const longest = lengths.reduce((longer, length) => Math.max(longer, length), 0);
  const positions = context ?? longest + 1;
  const { length: count } = lengths;
  if (count < 2) throw unexpected(name, 'at least two lines that are not empty', count);
  const total = lengths.reduce((sum, length) => sum + length + 1, 0);
  const targets = nextTargets(tokenNames(vocabulary), total / count, true);
  const split = splitIndices(targets, count, name, options);
  const size = vocabularySize(vocabulary);
  /** For each line, the sample that it becomes: training samples first. */
  const places = new Uint32Array(count);
  for (const [at, line] of [...split.train, ...split.test].entries()) places[line] = at;
  const trainCount = split.train.length;
  const train = tokenArray(trainCount * (positions + 1), size);
  const test = tokenArray(split.test.length * (positions + 1), size);
  let line = 0;
  const lines = eachLine(source, vocabulary, (tokens) => {
    const place = places[line]!;
    const [values, at] = place < trainCount ? [train, place] : [test, place - trainCount];
    values.set(tokens, at * (positions + 1) + 1);
    line += 1;
  });
  requireSame(source, count, lines);
  const part = partOf(targets, positions, size);
  const parts = `${thousands(trainCount)} to train, ${thousands(count - trainCount)} to validate (split by seed ${options.seed ?? defaultSplitSeed})`;
  const what = `${plural(count, 'line')} of up to ${longest} characters, ${thousands(size)} different; ${parts}`;
  return {
    ...{ train: part(train), test: part(test) },
    found: foundLine([source], what),
    reading: { type: 'text', vocabulary, lines: true },
  };
}

function* withoutCarriageReturns(parts: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const part of parts) yield part.includes(0x0d) ? part.filter((byte) => byte !== 0x0d) : part;
}

/** The line feed, then the other characters in the order of their code points. */
function lineVocabulary(source: Texts): Vocabulary {
  const characters = charactersOf(source.name, presentPoints(source));
  return { kind: 'characters', tokens: ['\n', ...characters.filter((character) => character !== '\n')] };
}

type TakeLine = (tokens: readonly number[], file: string, line: number) => void;

/** Takes each line that is not empty, numbered from 1 in its file. @returns the number of lines in all files */
function eachLine({ files }: Texts, vocabulary: Vocabulary, take: TakeLine): number {
  let count = 0;
  for (const file of files) {
    let tokens: number[] = [];
    let line = 0;
    const end = (): void => {
      if (tokens.length === 0) return;
      line += 1;
      take(tokens, file.name, line);
      tokens = [];
    };
    encodeFile(file, vocabulary, (token) => {
      if (token === 0) end();
      else tokens.push(token);
    });
    end();
    count += line;
  }
  return count;
}
