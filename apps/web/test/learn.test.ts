/** Checks that a chapter of the lesson follows its controls; `learn.full.test.ts` has every chapter. */
import { expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { figure, isComputed, openChapter, useLesson } from './chapter.ts';

describePage('the lesson', ({ browser, folder }) => {
  const openPage = useLesson(browser, folder);

  it('a slider computes anew: a learning rate too large, one too small, and back', async () => {
    const tab = await openPage();
    await openChapter(tab, 'gradient-descent');
    const slider = tab.page.getByRole('region', { name: 'Controls' }).getByLabel('Learning rate');
    const outcomeAt = async (lr: number): Promise<string> => {
      await slider.fill(String(Math.log10(lr)));
      await isComputed(tab);
      return figure(tab, 'the learning rate is');
    };
    await expect.poll(() => outcomeAt(0.5)).toBe('too large');
    await expect.poll(() => outcomeAt(0.001)).toBe('too small');
    await tab.press('Reset');
    await expect.poll(() => figure(tab, 'the learning rate is')).toBe('about right');
    expect(tab.errors).toEqual([]);
  });
});
