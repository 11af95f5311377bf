/** Every chapter computes all its figures at either end of its controls. */
import { expect, test } from 'vitest';
import { chapters, type Exhibit } from '../src/index.ts';
import { openDigits } from './context.ts';

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
/** Controls that train on all of MNIST, which `digits.full.test.ts` covers. */
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
