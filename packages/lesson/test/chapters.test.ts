/** Checks of every chapter: its text, its terms, its controls. */
import { expect, test } from 'vitest';
import { settingsOf } from '../src/chapter.ts';
import { chapters, type Exhibit, expectedOf, glossary, partsOf } from '../src/index.ts';
import { openDigits } from './context.ts';

test('ids are different, and can stand in an address', () => {
  const ids = chapters.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[a-z]+(-[a-z]+)*$/);
});

test.each(chapters)('$id: terms are in the glossary, and its paragraphs are read to their end', ({ text, claim }) => {
  expect(claim).toMatch(/\.$/);
  for (const paragraph of text) {
    const plain = partsOf(paragraph)
      .map((part) => part.text)
      .join('');
    expect(plain).not.toMatch(/[[\]|]{2}/);
    expect(plain).toMatch(/[.?]$/);
  }
});

test('every term of the glossary is used', () => {
  const used = chapters.flatMap(({ text }) => text.flatMap(partsOf).flatMap(({ term }) => (term ? [term] : [])));
  expect(new Set(used)).toEqual(new Set(Object.keys(glossary)));
});

/** Every control of a chapter at either end, or with each of its names. */
const extremes = chapters.flatMap(({ id, controls }) =>
  Object.entries(controls).flatMap(([name, control]) =>
    (control.kind === 'range' ? [control.from, control.to] : control.names)
      .filter((value) => value !== control.fallback && !(name === 'seed' && value === 1))
      .map((value) => ({ id, name, value })),
  ),
);
/** Keeps the training loop quick. */
const quick = { samples: 300, epochs: 1 };
/** Controls that train on all of MNIST, which `digits.test.ts` covers. */
const isLong = (id: string, name: string): boolean =>
  id === 'optimizers' || (id === 'training-loop' && ['samples', 'epochs'].includes(name));

test.each(extremes.filter(({ id, name }) => !isLong(id, name)))(
  '$id with $name $value: no figure is missing',
  async ({ id, name, value }) => {
    const chapter = chapters.find((each) => each.id === id)!;
    let last: readonly Exhibit[] = [];
    for (const exhibits of chapter.exhibits(await openDigits(), {
      ...(id === 'training-loop' ? quick : {}),
      [name]: value,
    }))
      last = exhibits;
    expect(last.length).toBeGreaterThan(0);
    for (const text of textsOf(last)) expect(text).not.toMatch(/undefined|^NaN %|null/);
    for (const exhibit of last) {
      if (exhibit.kind === 'grid') expect(exhibit.showsNumbers === true).toBe(exhibit.values.length < 30);
      if (exhibit.kind === 'bars')
        expect(exhibit.areProbabilities === true).toBe(exhibit.caption.startsWith('Probabilities'));
      if (exhibit.kind === 'curves' && /percent/.test(exhibit.caption)) {
        expect(Math.max(...exhibit.series.flatMap(({ values }) => values))).toBeLessThanOrEqual(100);
      }
    }
  },
);

function textsOf(exhibits: readonly Exhibit[]): string[] {
  return exhibits.flatMap((exhibit) => {
    if (exhibit.kind === 'figures') return exhibit.figures.map(({ value }) => value);
    if (exhibit.kind === 'table') return exhibit.rows.flat().map(String);
    return exhibit.kind === 'bars' ? exhibit.bars.map(({ text }) => text) : [];
  });
}

test.each(chapters)('$id: defaults are accepted, what is outside of a control is refused by name', ({ controls }) => {
  const fallbacks = Object.fromEntries(Object.entries(controls).map(([name, { fallback }]) => [name, fallback]));
  expect(settingsOf(controls, {})).toEqual(fallbacks);
  for (const [name, control] of Object.entries(controls)) {
    const wrong = control.kind === 'choice' ? 'no such name' : control.to + 1;
    const message = `${name}: expected ${expectedOf(control)}, got ${wrong}`;
    expect(() => settingsOf(controls, { [name]: wrong })).toThrow(message);
  }
  expect(() => settingsOf(controls, { unknown: 1 })).toThrow('unknown: expected one of ');
});
