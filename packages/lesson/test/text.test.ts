/** Embeddings, attention heads and masks, and the transformer that writes names. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { attention, attentionLines } from '../src/chapters/attention.ts';
import { embedding } from '../src/chapters/embedding.ts';
import { blockLines, transformer } from '../src/chapters/transformer.ts';
import { countPairs, letterOf, lossOfPairs, names, nameTokens, tokensOfName } from '../src/names.ts';
import { meanOf } from '../src/values.ts';
import { openContext } from './context.ts';

describe('names', () => {
  test('are different words of letters that fit the model with their ends', () => {
    expect(new Set(names).size).toBe(1000);
    for (const name of names) expect(name).toMatch(/^[a-z]{3,9}$/);
  });

  test('a name begins and ends with the same token', () => {
    expect(tokensOfName('abz').map(letterOf).join('')).toBe('.abz.');
  });

  test('the loss of counting pairs is the mean logarithm of their frequencies', () => {
    // After 0 comes 1 in two of three cases; after 1 comes always 0.
    const counts = countPairs(
      [
        [0, 1, 0, 1],
        [0, 0],
      ],
      2,
    );
    expect(counts).toEqual([1, 2, 1, 0]);
    expect(lossOfPairs(counts, 2)).toBeCloseTo(-(2 * Math.log(2 / 3) + Math.log(1 / 3)) / 4, 12);
  });
});

describe('embeddings', () => {
  test.each([1, 2, 3])(
    'letters of one kind come together, and rows are products with one-hot vectors, seed %i',
    async (seed) => {
      const { spread, differing, losses, pairs } = embedding.result(await openContext(), { seed });
      expect(spread.within).toBeLessThan(0.8 * spread.between);
      expect(differing).toBe(0);
      expect(losses[0]).toBeCloseTo(Math.log(nameTokens), 0);
      const lowest = lossOfPairs(pairs.counts, nameTokens);
      expect(losses.at(-1)).toBeGreaterThan(lowest);
      expect(losses.at(-1)).toBeLessThan(lowest + 0.2);
    },
  );

  test.each([1, 2, 3])('each animal, article, adjective has its own kind nearest, seed %i', async (seed) => {
    const context = await openContext();
    const exhibits = embedding.show(embedding.result(context, { tokens: 'words of sentences', seed }));
    const nearest = exhibits.find((each) => each.kind === 'table')!;
    const kindOf = new Map(nearest.rows.map(([token, kind]) => [token, kind]));
    for (const [token, kind, near] of nearest.rows) {
      if (!['animal', 'adjective', 'article'].includes(`${kind}`)) continue;
      const [first, second] = `${near}`.split(' ');
      expect([kindOf.get(first!), kindOf.get(second!)], `${token}`).toEqual([kind, kind]);
    }
  });
});

/** Expects each line of a code exhibit in the chapter's source. */
function standsInSource(file: string, lines: readonly { readonly code: string }[]): void {
  const source = readFileSync(new URL(`../src/chapters/${file}.ts`, import.meta.url), 'utf8').split('\n');
  for (const { code } of lines) expect(source.map((line) => line.trim())).toContain(code);
}

describe('attention heads', () => {
  test('the head of places looks at the token before, and the results of both heads are joined', async () => {
    const context = await openContext();
    for (const [token, before] of [
      ['cat', 'the'],
      ['tired', 'was'],
    ] as const) {
      const { asked, joined, heads } = attention.result(context, { token, head: 'place' });
      expect(asked.looksAt).toBe(before);
      expect(Math.max(...asked.weights)).toBeGreaterThan(0.7);
      expect(joined).toHaveLength(4);
      expect(joined.slice(2)).toEqual([...asked.result]);
      expect(heads.place.weights).toHaveLength(49);
    }
  });

  test('behind a mask later tokens have weights of 0, and those of the others still add up to 1', async () => {
    const { heads } = attention.result(await openContext(), { mask: 'tokens before it' });
    for (const { weights } of Object.values(heads)) {
      for (let row = 0; row < 7; row++) {
        const own = [...weights.subarray(7 * row, 7 * row + 7)];
        expect(own.slice(row + 1).every((weight) => weight === 0)).toBe(true);
        expect(own.reduce((total, weight) => total + weight, 0)).toBeCloseTo(1, 5);
      }
    }
  });

  test('its three lines stand in the source', () => standsInSource('attention', attentionLines));
});

describe('the transformer', () => {
  test.each([1, 2, 3])(
    'learns more of 1,000 names than pairs of letters say, and invents names, seed %i',
    async (seed) => {
      const { losses, texts } = transformer.result(await openContext(), { seed });
      expect(Math.abs(losses[0]! - Math.log(nameTokens))).toBeLessThan(0.3);
      const pairs = lossOfPairs(countPairs(names.map(tokensOfName), nameTokens), nameTokens);
      expect(meanOf(losses.slice(-4))).toBeLessThan(pairs - 0.1);
      const written = texts.at(-1)!.names;
      expect(written.filter((name) => !names.includes(name)).length).toBeGreaterThan(4);
      for (const name of written) expect(name).toMatch(/^[a-z]{2,15}$/);
    },
  );

  test('has 4,192 parameters, and looks at no later letter', async () => {
    const result = transformer.result(await openContext(), { steps: 100, beginning: 'chri' });
    const figures = transformer.show(result).find((each) => each.kind === 'figures')!;
    expect(figures.figures[0]).toEqual({ label: 'parameters', value: '4,192' });
    expect(result.weights).toHaveLength(4);
    for (const weights of result.weights) {
      const letters = Math.sqrt(weights.length);
      expect(letters).toBe('.mariana'.length);
      weights.forEach((weight, at) => {
        if (at % letters > Math.floor(at / letters)) expect(weight).toBe(0);
      });
    }
    for (const { names: written } of result.texts) for (const name of written) expect(name).toMatch(/^chri/);
  });

  test('its four lines stand in the source', () => standsInSource('transformer', blockLines));
});
