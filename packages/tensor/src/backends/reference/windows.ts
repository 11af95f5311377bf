/** The iteration over windows that convolution and pooling share. */
import type { Windows } from '../../windows.ts';

/**
 * Visits the places of every window that lie inside its image; windows and places in row-major order. `window` and
 * `pixel` count over all images; `place` is `row * windowWidth + column` in the window.
 */
export function forEachPlace(windows: Windows, visit: (window: number, place: number, pixel: number) => void): void {
  const { height, width, windowHeight, windowWidth } = windows;
  let window = 0;
  for (let image = 0; image < windows.images; image++) {
    for (let outputRow = 0; outputRow < windows.outputHeight; outputRow++) {
      for (let outputColumn = 0; outputColumn < windows.outputWidth; outputColumn++, window++) {
        const top = outputRow * windows.strideHeight - windows.paddingHeight;
        const start = outputColumn * windows.strideWidth - windows.paddingWidth;
        for (let place = 0; place < windowHeight * windowWidth; place++) {
          const row = top + Math.floor(place / windowWidth);
          const column = start + (place % windowWidth);
          if (row < 0 || row >= height || column < 0 || column >= width) continue;
          visit(window, place, (image * height + row) * width + column);
        }
      }
    }
  }
}
