/** Titles of suites that need a browser. */
import { findChromium, noBrowserWanted } from './find.ts';
import { installCommand } from './install.ts';

/** Returns `name, in Chromium`, or the name with the reason why the suite is skipped. */
export function inChromium(name: string, path: string | undefined = findChromium()): string {
  if (path !== undefined) return `${name}, in Chromium`;
  const reason =
    process.env['CHROME_PATH'] === noBrowserWanted
      ? 'CHROME_PATH is none'
      : `no browser found; run ${installCommand}, or set CHROME_PATH`;
  return `${name} (skipped: ${reason})`;
}
