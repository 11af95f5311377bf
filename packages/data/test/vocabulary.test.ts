/** Vocabularies: what is encoded decodes to itself, however a text arrives. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { datasetFromText } from '../src/readers/text-dataset.ts';
import {
  createTextEncoder,
  decodePoints,
  decodeTokens,
  encodeText,
  tokenNames,
  type Vocabulary,
  vocabularySize,
} from '../src/readers/vocabulary.ts';

const anyText = fc.string({ unit: 'grapheme', maxLength: 60 });
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function learned(text: string, vocabulary: number | 'characters' | 'bytes' = 'characters'): Vocabulary {
  const { reading } = datasetFromText(text, { vocabulary, context: 1 });
  if (reading?.type !== 'text') throw new Error('expected a text');
  return reading.vocabulary;
}

const english = 'the cat sat on the mat, and the rat ran at the cat. ';
const merges = learned(english.repeat(3), 300);

describe('a vocabulary', () => {
  it('of characters decodes what it encodes, for texts of its characters', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const known = `${text.replaceAll('\0', '')}ab\n`;
        const vocabulary = learned(known);
        expect(decodeTokens(vocabulary, encodeText(vocabulary, known))).toBe(known);
        expect(vocabularySize(vocabulary)).toBe(new Set(known).size);
      }),
    );
  });

  it.each<[string, Vocabulary]>([
    ['bytes', { kind: 'bytes' }],
    ['byte pairs', merges],
  ])('of %s decodes what it encodes, for any text', (_, vocabulary) => {
    const words = fc.array(fc.constantFrom('the', ' cat', ' ', '\n', 'é', '😀', '12'), { maxLength: 30 });
    fc.assert(
      fc.property(
        fc.oneof(
          anyText,
          words.map((list) => list.join('')),
        ),
        (text) => {
          expect(decodeTokens(vocabulary, encodeText(vocabulary, text))).toBe(text);
        },
      ),
    );
  });

  it('encodes a text in parts of any size as at once', () => {
    const text = fc.array(fc.constantFrom('the', ' cat', ' ', '\n', 'é', '😀', '12', "don't"), { maxLength: 40 });
    const words: Vocabulary = { kind: 'words', tokens: ['the', 'cat', "don't"] };
    const cuts = fc.array(fc.nat(200), { maxLength: 8 });
    fc.assert(
      fc.property(text, cuts, (list, places) => {
        const bytes = utf8(list.join(''));
        const ends = [...places.map((place) => Math.min(place, bytes.length)), bytes.length].sort((a, b) => a - b);
        const characters: Vocabulary = { kind: 'characters', tokens: [...new Set("the cat\né😀12don't")] };
        for (const vocabulary of [merges, characters, words, { kind: 'bytes' } as const]) {
          const tokens: number[] = [];
          const encoding = createTextEncoder(vocabulary, 'x', (token) => tokens.push(token));
          for (const [index, end] of ends.entries()) encoding.take(bytes.subarray(ends[index - 1] ?? 0, end));
          encoding.end();
          expect(tokens).toEqual([...encodeText(vocabulary, list.join(''))]);
        }
      }),
    );
  });

  it('learns the most frequent byte pairs first; of equally frequent ones, that of smaller bytes', () => {
    const { merges: pairs } = learned('bcbc dada ', 260) as Extract<Vocabulary, { kind: 'merges' }>;
    const names = tokenNames({ kind: 'merges', merges: pairs }).slice(256);
    // `bc` and `da` occur twice each.
    expect(names.slice(0, 2)).toEqual(['bc', 'da']);
    expect(tokenNames(merges).slice(256, 260)).toEqual(['at', 'he', 'the', ' the']);
    expect(vocabularySize(merges)).toBeLessThan(300);
  });

  it('names each token', () => {
    const names = tokenNames({ kind: 'merges', merges: [[0xc3, 0xa9]] });
    expect([names[0x41], names[10], names[0], names[0xc3], names[256]]).toEqual(['A', '\n', '\\x00', '\\xc3', 'é']);
    expect(tokenNames({ kind: 'words', tokens: ['cat'] })).toEqual(['(none)', '(unknown)', 'cat']);
  });

  it('of words knows small letters, and has a token for other words', () => {
    const vocabulary: Vocabulary = { kind: 'words', tokens: ['it', "don't", 'été'] };
    expect([...encodeText(vocabulary, "IT'S été: “don’t”, 'it' … dog")]).toEqual([1, 4, 3, 2, 1]);
  });

  it('names the first character that it does not know', () => {
    expect(() => encodeText(learned('abab'), 'abba é')).toThrow(
      new DataError('text: expected characters that the model knows, got " " as character 5'),
    );
  });
});

describe('UTF-8', () => {
  const pointsOf = (bytes: Uint8Array): number[] => {
    const points: number[] = [];
    const decoding = decodePoints('x', (point) => points.push(point));
    decoding.take(bytes);
    decoding.end();
    return points;
  };

  it('is what a strict decoder takes', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const edges = fc.constantFrom(
      0x7f,
      0x80,
      0xbf,
      0xc0,
      0xc1,
      0xc2,
      0xe0,
      0xed,
      0xa0,
      0x9f,
      0xf0,
      0x8f,
      0xf4,
      0x90,
      0xf8,
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(edges, fc.nat(255)), { maxLength: 5 }), (list) => {
        const bytes = Uint8Array.from(list);
        let expected: string | undefined;
        try {
          expected = decoder.decode(bytes);
        } catch {
          expect(() => pointsOf(bytes)).toThrow(
            /^x: expected UTF-8 text, got other bytes at offset [0-5]: save it as /,
          );
          return;
        }
        expect(String.fromCodePoint(...pointsOf(bytes))).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});
