/** The column of a table whose texts a model reads: their words become tokens. */

import { argumentKinds, checkArguments, checkWhole, DataError, objectWith, unexpected } from '../data-error.ts';
import { maxTokens, tokenArray } from '../dataset.ts';
import { shownValue } from '../shown.ts';
import { type TableRow, tableFromRows } from './features.ts';
import { requireColumn, shownName, type TableFile } from './table.ts';
import { splitWords, type Vocabulary, type VocabularyChoice, vocabularySize, wordless } from './vocabulary.ts';

/** How the texts of a column become samples. */
export interface TextColumn {
  readonly name: string;
  readonly vocabulary: Vocabulary;
  /** Number of tokens in a sample: longer texts are cut, shorter ones are filled with token 0. */
  readonly length: number;
  /** Number of words of the longest training text; undefined if a trained model knows the column. */
  readonly longest?: number;
}

const textKind = objectWith('a column of texts', 'name', 'vocabulary', 'length');
const defaultTokens = 8_000;
/** Words of a text that a model sees by default, at most: the beginning of a long text says what it is about. */
const mostWords = 256;
/** A word that occurs once teaches nothing about other texts, but what to expect of unknown words. */
const leastOccurrences = 2;

/**
 * Learns the words of the training rows: the most frequent ones, of equally frequent ones the first by code units.
 * @throws DataError if no word is repeated, or words are not asked for; RangeError for another invalid option
 */
export function fitText(
  table: TableFile,
  name: string,
  rows: Uint32Array,
  { vocabulary = defaultTokens, context }: { vocabulary?: VocabularyChoice | undefined; context?: number | undefined },
): TextColumn {
  if (typeof vocabulary !== 'number') {
    throw unexpected(table.name, 'a number of words as --vocabulary for the texts of a table', shownValue(vocabulary));
  }
  checkWhole('vocabulary', vocabulary, wordless.count + 1, maxTokens);
  if (context !== undefined) checkWhole('context', context, 1, maxTokens);
  const counts = new Map<string, number>();
  let longest = 1;
  eachText(table, name, rows, (words) => {
    longest = Math.max(longest, words.length);
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  });
  const tokens = [...counts]
    .filter(([, count]) => count >= leastOccurrences)
    .sort(([one, ones], [other, others]) => others - ones || (one < other ? -1 : 1))
    .slice(0, vocabulary - wordless.count)
    .map(([word]) => word);
  if (tokens.length === 0) {
    const place = `${table.name}: column ${shownName(name)}`;
    throw unexpected(place, 'a word that occurs twice in the training rows', 'none');
  }
  return { name, vocabulary: { kind: 'words', tokens }, length: context ?? Math.min(longest, mostWords), longest };
}

/** Encodes the texts of a table's rows as tokens, [rows, length]. @throws DataError without the column */
export function encodeTexts(table: TableFile, text: TextColumn, rows: Uint32Array): Uint8Array | Uint16Array {
  checkArguments('encodeTexts', [argumentKinds.table, table], [textKind, text], [argumentKinds.numbers, rows]);
  const { name, vocabulary, length } = text;
  if (vocabulary.kind !== 'words') {
    throw new DataError(`${table.name}: expected a model that reads the words of a column, got ${vocabulary.kind}`);
  }
  const known = new Map(vocabulary.tokens.map((word, index) => [word, wordless.count + index]));
  const tokens = tokenArray(rows.length * length, vocabularySize(vocabulary));
  let at = 0;
  eachText(table, name, rows, (words) => {
    for (const [index, word] of words.entries()) {
      if (index === length) break;
      tokens[at + index] = known.get(word) ?? wordless.unknown;
    }
    at += length;
  });
  return tokens;
}

/** Encodes the texts of rows in memory, like `encodeTexts`. @param name begins messages */
export function encodeRowTexts(
  rows: readonly TableRow[],
  text: TextColumn,
  name = 'encodeRowTexts',
): Uint8Array | Uint16Array {
  checkArguments(name, [argumentKinds.rows, rows], [textKind, text]);
  return encodeTexts(tableFromRows(rows, [text.name], name), text, Uint32Array.from(rows.keys()));
}

function eachText(table: TableFile, name: string, rows: Uint32Array, take: (words: readonly string[]) => void): void {
  const column = requireColumn(table, name, 'for the model');
  const encoder = new TextEncoder();
  let words: string[] = [];
  for (const row of rows) {
    words = [];
    const splitting = splitWords(table.name, (word) => words.push(word));
    splitting.take(encoder.encode(column.textAt(row)));
    splitting.end();
    take(words);
  }
}
