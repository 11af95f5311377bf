/** Combines the charts of the page into one picture. */
import { cssColor } from '../look/theme.ts';

const titlePixels = 40;

/** @param charts figures with a heading and a canvas, stacked in the picture */
export function curvesPng(charts: readonly HTMLElement[]): Promise<Blob | null> {
  const parts = charts.flatMap((chart) => {
    const canvas = chart.querySelector('canvas');
    return canvas ? [{ canvas, title: chart.querySelector('h3')?.textContent ?? '' }] : [];
  });
  const picture = document.createElement('canvas');
  picture.width = Math.max(1, ...parts.map(({ canvas }) => canvas.width));
  picture.height = Math.max(
    1,
    parts.reduce((sum, { canvas }) => sum + canvas.height + titlePixels, 0),
  );
  const context = picture.getContext('2d')!;
  context.fillStyle = cssColor('--surface');
  context.fillRect(0, 0, picture.width, picture.height);
  context.font = `600 20px ${getComputedStyle(document.body).fontFamily}`;
  context.fillStyle = cssColor('--text');
  let top = 0;
  for (const { canvas, title } of parts) {
    context.fillText(title, 12, top + titlePixels - 12);
    context.drawImage(canvas, 0, top + titlePixels);
    top += canvas.height + titlePixels;
  }
  return new Promise((resolve) => picture.toBlob(resolve, 'image/png'));
}
