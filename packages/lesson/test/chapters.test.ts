/** Checks of every chapter: its text, its terms, its controls. */
import { expect, test } from 'vitest';
import { settingsOf } from '../src/chapter.ts';
import { chapters, expectedOf, glossary, partsOf } from '../src/index.ts';

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
