/** The tokens of a text: characters, bytes, byte pairs or words; encoding and decoding, the same on every engine. */

import { type ArgumentKind, argumentKinds, checkArguments, DataError, objectWith } from '../data-error.ts';
import { printable } from '../shown.ts';

/** The tokens that a model knows, as plain data that a model file contains. */
export type Vocabulary =
  /** Token i is the character `tokens[i]`; for data of lines, token 0 is the line feed. */
  | { readonly kind: 'characters'; readonly tokens: readonly string[] }
  /** Token i is byte i. */
  | { readonly kind: 'bytes' }
  /** Tokens 0 to 255 are bytes; token 256 + i is the two tokens of `merges[i]`, in this order. */
  | { readonly kind: 'merges'; readonly merges: readonly (readonly [number, number])[] }
  /** Token 0 fills a sample, token 1 is an unknown word, and token 2 + i is the word `tokens[i]`, in small letters. */
  | { readonly kind: 'words'; readonly tokens: readonly string[] };

/** A vocabulary to learn: `characters`, `bytes` or a number of tokens; or a trained model's own. */
export type VocabularyChoice = 'characters' | 'bytes' | number | Vocabulary;

const vocabularyKind = objectWith('a vocabulary', 'kind');
const tokensKind: ArgumentKind = {
  expected: 'tokens as a list or a typed array',
  accepts: (value) => Array.isArray(value) || ArrayBuffer.isView(value),
};
const byteCount = 256;
/** Tokens of a vocabulary of words that stand for no word. */
export const wordless = { padding: 0, unknown: 1, count: 2 } as const;

/** Returns the number of tokens. */
export function vocabularySize(vocabulary: Vocabulary): number {
  checkArguments('vocabularySize', [vocabularyKind, vocabulary]);
  if (vocabulary.kind === 'characters') return vocabulary.tokens.length;
  if (vocabulary.kind === 'words') return wordless.count + vocabulary.tokens.length;
  return byteCount + (vocabulary.kind === 'merges' ? vocabulary.merges.length : 0);
}

/** Returns a text for each token, to show it; bytes that are no printable text are shown as in `\xff`. */
export function tokenNames(vocabulary: Vocabulary): readonly string[] {
  checkArguments('tokenNames', [vocabularyKind, vocabulary]);
  if (vocabulary.kind === 'characters') return vocabulary.tokens;
  if (vocabulary.kind === 'words') return ['(none)', '(unknown)', ...vocabulary.tokens];
  return bytesOfTokens(vocabulary).map((bytes) => {
    const text = new TextDecoder().decode(bytes);
    const isText = !text.includes('\ufffd') && (printable.test(text) || /^[\n\r\t]+$/.test(text));
    return isText ? text : Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  });
}

function bytesOfTokens(vocabulary: Extract<Vocabulary, { kind: 'bytes' | 'merges' }>): Uint8Array[] {
  const bytes = Array.from({ length: byteCount }, (_, byte) => Uint8Array.of(byte));
  for (const [left, right] of vocabulary.kind === 'merges' ? vocabulary.merges : []) {
    bytes.push(Uint8Array.of(...bytes[left]!, ...bytes[right]!));
  }
  return bytes;
}

/** Takes the bytes of a text part by part; a part may end anywhere. */
interface TextEncoding {
  /** @throws DataError for bytes that are no UTF-8, and for an unknown character, unless tokens are bytes */
  take(part: Uint8Array): void;
  end(): void;
}

/** Encodes a text that arrives in parts. @param place the text, in errors @param emit takes each token, in order */
export function createTextEncoder(vocabulary: Vocabulary, place: string, emit: (token: number) => void): TextEncoding {
  if (vocabulary.kind === 'bytes') return { take: (part) => part.forEach(emit), end: () => {} };
  if (vocabulary.kind === 'merges') return encodeMerges(vocabulary.merges, emit);
  if (vocabulary.kind === 'words') return encodeWords(vocabulary.tokens, place, emit);
  const known = new Map(vocabulary.tokens.map((character, token) => [character.codePointAt(0)!, token]));
  // An array is several times as fast as a map for the characters of most texts.
  const common = Int32Array.from({ length: 0x3000 }, (_, point) => known.get(point) ?? -1);
  let count = 0;
  return decodePoints(place, (point) => {
    const token = point < common.length ? common[point]! : (known.get(point) ?? -1);
    if (token < 0) {
      const got = JSON.stringify(String.fromCodePoint(point));
      throw new DataError(`${place}: expected characters that the model knows, got ${got} as character ${count + 1}`);
    }
    count += 1;
    emit(token);
  });
}

/** Returns the tokens of a text. @throws DataError that names the first character outside the vocabulary */
export function encodeText(vocabulary: Vocabulary, text: string): Uint8Array | Uint16Array {
  checkArguments('encodeText', [vocabularyKind, vocabulary], [argumentKinds.text, text]);
  const tokens: number[] = [];
  const encoding = createTextEncoder(vocabulary, 'text', (token) => tokens.push(token));
  encoding.take(new TextEncoder().encode(text));
  encoding.end();
  return vocabularySize(vocabulary) <= byteCount ? Uint8Array.from(tokens) : Uint16Array.from(tokens);
}

/** Returns the text of tokens: for words, separated by spaces; an incomplete character becomes U+FFFD. */
export function decodeTokens(vocabulary: Vocabulary, tokens: ArrayLike<number>): string {
  checkArguments('decodeTokens', [vocabularyKind, vocabulary], [tokensKind, tokens]);
  if (vocabulary.kind === 'characters') return Array.from(tokens, (token) => vocabulary.tokens[token] ?? '').join('');
  if (vocabulary.kind === 'words') {
    const names = tokenNames(vocabulary);
    return Array.from(tokens, (token) => names[token] ?? '').join(' ');
  }
  const bytes: number[] = [];
  const merges = vocabulary.kind === 'merges' ? vocabulary.merges : [];
  const add = (token: number): void => {
    const pair = merges[token - byteCount];
    if (!pair) bytes.push(token);
    else for (const part of pair) add(part);
  };
  for (let at = 0; at < tokens.length; at += 1) add(tokens[at]!);
  // The decoder would drop a byte order mark, which is a character like any other here.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/**
 * Decodes UTF-8 that arrives in parts. @param emit takes each character's code point
 * @throws DataError from `take` and `end` that names the first byte that is no UTF-8
 */
export function decodePoints(place: string, emit: (point: number) => void): TextEncoding {
  /** Bits of an incomplete character, the bytes it still needs, and the least code point of its length. */
  let [point, missing, least] = [0, 0, 0];
  let bytes = 0;
  const fail = (at: number): never => {
    throw new DataError(
      `${place}: expected UTF-8 text, got other bytes at offset ${at}: save it as UTF-8, or use --vocabulary bytes`,
    );
  };
  const takeRare = (byte: number, at: number): void => {
    if (missing === 0) {
      if (byte >= 0xf8 || byte < 0xc0) fail(at);
      missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
      least = [0x80, 0x800, 0x1_0000][missing - 1]!;
      point = byte & (0x3f >> missing);
      return;
    }
    if ((byte & 0xc0) !== 0x80) fail(at);
    point = (point << 6) | (byte & 0x3f);
    missing -= 1;
    if (missing > 0) return;
    if (point < least || point > 0x10_ffff || (point >= 0xd800 && point < 0xe000)) fail(at);
    emit(point);
  };
  return {
    take(part) {
      for (let at = 0; at < part.length; at += 1) {
        const byte = part[at]!;
        if (byte < 0x80 && missing === 0) emit(byte);
        else takeRare(byte, bytes + at);
      }
      bytes += part.length;
    },
    end() {
      if (missing > 0) fail(bytes);
    },
  };
}

/** Longest piece of a text, in bytes; a longer run is cut between characters. */
const longestPiece = 48;
const [letter, digit, space, blank, sign] = [0, 1, 2, 3, 4];
const kindOfByte = Uint8Array.from({ length: byteCount }, (_, byte) => {
  if (byte >= 0x80 || /[A-Za-z]/.test(String.fromCharCode(byte))) return letter!;
  if (byte >= 0x30 && byte <= 0x39) return digit!;
  if (byte === 0x20) return space!;
  return byte < 0x20 ? blank! : sign!;
});

/**
 * Splits a text into pieces, which no byte pair crosses: runs of letters, of digits, of other signs, each with one space
 * before it; runs of spaces, and of line ends. Bytes alone decide, so that all engines split alike, whatever their
 * version of Unicode.
 * @param emit takes each piece as a text of one character per byte
 */
export function splitPieces(emit: (piece: string) => void): TextEncoding {
  let [piece, kind, isLead] = ['', -1, false];
  const end = (): void => {
    if (piece !== '') emit(piece);
    piece = '';
  };
  return {
    take(part) {
      for (let at = 0; at < part.length; at += 1) {
        const byte = part[at]!;
        const next = kindOfByte[byte]!;
        const joins = next === kind || (isLead && next !== blank);
        const isFull = piece.length >= longestPiece && (byte & 0xc0) !== 0x80;
        if (piece !== '' && (!joins || isFull)) end();
        isLead = piece === '' && next === space;
        kind = next;
        piece += String.fromCharCode(byte);
      }
    },
    end,
  };
}

/** Pieces whose tokens are remembered; texts repeat their words. */
const mostRememberedPieces = 65_536;
/** Above any token. */
export const pairBase = 65_536;
export const pairKey = (left: number, right: number): number => left * pairBase + right;

/** In each piece, the earliest learned pair is merged first, as when the vocabulary was learned. */
function encodeMerges(merges: readonly (readonly [number, number])[], emit: (token: number) => void): TextEncoding {
  const merged = new Map(merges.map(([left, right], index) => [pairKey(left, right), byteCount + index]));
  const remembered = new Map<string, readonly number[]>();
  const tokensOf = (piece: string): readonly number[] => {
    const tokens = Array.from(piece, (byte) => byte.charCodeAt(0));
    for (;;) {
      let first = Number.POSITIVE_INFINITY;
      for (let at = 1; at < tokens.length; at += 1) {
        first = Math.min(first, merged.get(pairKey(tokens[at - 1]!, tokens[at]!)) ?? first);
      }
      if (first === Number.POSITIVE_INFINITY) return tokens;
      mergePair(tokens, merges[first - byteCount]!, first);
    }
  };
  return splitPieces((piece) => {
    const known = remembered.get(piece);
    const tokens = known ?? tokensOf(piece);
    if (!known && remembered.size < mostRememberedPieces) remembered.set(piece, tokens);
    for (const token of tokens) emit(token);
  });
}

/** Replaces each occurrence of a pair, from the left, in place. */
export function mergePair(tokens: number[], [left, right]: readonly [number, number], token: number): void {
  let length = 0;
  for (let at = 0; at < tokens.length; at += 1) {
    const isPair = tokens[at] === left && tokens[at + 1] === right;
    tokens[length] = isPair ? token : tokens[at]!;
    if (isPair) at += 1;
    length += 1;
  }
  tokens.length = length;
}

/**
 * Splits a text into words: runs of letters and digits, with inner apostrophes, in small letters. Only ASCII letters are
 * made small: other rules depend on an engine's version of Unicode.
 */
export function splitWords(place: string, emit: (word: string) => void): TextEncoding {
  let word = '';
  const end = (): void => {
    const trimmed = word.replaceAll(/^'+|'+$/g, '');
    if (trimmed !== '') emit(trimmed);
    word = '';
  };
  const points = decodePoints(place, (given) => {
    // A typographic apostrophe is an apostrophe.
    const point = given === 0x2019 ? 0x27 : given;
    const isUpper = point >= 0x41 && point <= 0x5a;
    const isOther = point === 0x27 || point >= 0xa1;
    const isInWord = isUpper || isOther || (point >= 0x61 && point <= 0x7a) || (point >= 0x30 && point <= 0x39);
    if (isInWord && !isSeparator(point)) word += String.fromCodePoint(isUpper ? point + 0x20 : point);
    else end();
  });
  return {
    take: (part) => points.take(part),
    end() {
      points.end();
      end();
    },
  };
}

/** Whether a character beyond ASCII is a punctuation mark or a space: those of Latin-1, and general punctuation. */
function isSeparator(point: number): boolean {
  return (
    (point >= 0xa1 && point <= 0xbf) || (point >= 0x2000 && point <= 0x206f) || (point >= 0x3000 && point <= 0x303f)
  );
}

function encodeWords(words: readonly string[], place: string, emit: (token: number) => void): TextEncoding {
  const known = new Map(words.map((word, index) => [word, wordless.count + index]));
  return splitWords(place, (word) => emit(known.get(word) ?? wordless.unknown));
}
