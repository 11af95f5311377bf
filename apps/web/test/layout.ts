/** Finds text that does not fit its box, and parts of a page that have no name. */
import type { Page } from 'playwright-core';

const namedRoles =
  /^\s*- '?(application|combobox|dialog|img|log|progressbar|region|slider|spinbutton|textbox|toolbar)(?! ")/;

/** Returns parts without an accessible name. axe has no rule for some of their roles, such as toolbars. */
export async function namelessParts(page: Page): Promise<string[]> {
  const lines = (await page.locator('body').ariaSnapshot()).split('\n');
  return lines.filter((line) => namedRoles.test(line));
}

/** Returns text that overflows its box, and so overlaps its neighbors or leaves the page. */
export function textWithoutPlace(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const boxOf = (text: Node): Element | undefined => {
      let element = text.parentElement;
      while (element && getComputedStyle(element).display === 'inline') element = element.parentElement;
      return element ?? undefined;
    };
    // Scrolling elements, ellipses and text for screen readers may clip their text.
    const isClipped = (element: Element | null): boolean =>
      element !== null && (getComputedStyle(element).overflowX !== 'visible' || isClipped(element.parentElement));
    const found: string[] = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const box = boxOf(texts.currentNode);
      if (!box || isClipped(box)) continue;
      const range = document.createRange();
      range.selectNodeContents(texts.currentNode);
      const [text, place] = [range.getBoundingClientRect(), box.getBoundingClientRect()];
      // Half a pixel may be rounding.
      if (text.width === 0 || (text.left >= place.left - 0.5 && text.right <= place.right + 0.5)) continue;
      found.push(`${box.className || box.nodeName}: ${texts.currentNode.textContent?.slice(0, 60)}`);
    }
    return found;
  });
}
