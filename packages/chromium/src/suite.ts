/** Names of suites that need a browser, which say why they are skipped where there is none. */
import { findChromium, noBrowserWanted } from './find.ts';
import { installCommand } from './plan.ts';

/** `name, in Chromium`, or why the suite is skipped. */
export function inChromium(name: string, path: string | undefined = findChromium()): string {
  if (path !== undefined) return `${name}, in Chromium`;
  const reason =
    process.env['CHROME_PATH'] === noBrowserWanted
      ? 'CHROME_PATH is none'
      : `no browser found; run ${installCommand}, or set CHROME_PATH`;
  return `${name} (skipped: ${reason})`;
}
