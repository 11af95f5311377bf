/** A page whose Web Worker checks gpu backends. */
import { fileURLToPath } from 'node:url';
import { findChromium, inChromium, type OpenPage, openBuiltPage } from '@lockstep/chromium';
import { afterAll, beforeAll, describe } from 'vitest';
import type { CheckReport, CheckRequest } from './page/page.ts';

declare const window: { runCheck(request: CheckRequest): Promise<CheckReport> };

/** Backends that are available in a browser with a software renderer. */
export const backends: readonly CheckRequest['backend'][] = ['webgpu', 'webgl'];

/** Declares tests on the built page; without a browser they are skipped, and the name says so. */
export function describeGpuPage(
  name: string,
  define: (runCheck: (request: CheckRequest) => Promise<CheckReport>) => void,
): void {
  const executablePath = findChromium();
  describe.skipIf(!executablePath)(inChromium(name), { timeout: 300_000, retry: 1 }, () => {
    let open: OpenPage | undefined;
    beforeAll(async () => {
      const root = fileURLToPath(new URL('./page/', import.meta.url));
      open = await openBuiltPage({ root, executablePath: executablePath! });
    }, 300_000);
    afterAll(() => open?.close());
    define((request) => open!.page.evaluate((given) => window.runCheck(given), request));
  });
}
