/** The gpu backends in a real browser: a Web Worker of a built, minified page computes what the reference computes. */
import { fileURLToPath } from 'node:url';
import { findChromium, inChromium, type OpenPage, openBuiltPage } from '@lockstep/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckReport, CheckRequest } from '../page/messages.ts';

declare const window: { runCheck(request: CheckRequest): Promise<CheckReport> };

const executablePath = findChromium();
const root = fileURLToPath(new URL('../page/', import.meta.url));

describe.skipIf(!executablePath)(inChromium('the gpu backends'), { timeout: 300_000 }, () => {
  let open: OpenPage | undefined;

  beforeAll(async () => {
    open = await openBuiltPage({ root, executablePath: executablePath! });
  }, 300_000);

  afterAll(async () => {
    await open?.close();
  });

  const runCheck = (request: CheckRequest): Promise<CheckReport> =>
    open!.page.evaluate((given) => window.runCheck(given), request);

  const choices: readonly CheckRequest['backend'][] = ['webgpu', 'webgl', { mode: 'webgl' }];

  describe.each(choices.map((backend) => [JSON.stringify(backend), backend] as const))('%s', (_, backend) => {
    it('computes every operation, its gradient and compiled steps as the reference does', async () => {
      const report = await runCheck({ backend, check: 'agreement' });
      expect(report).toMatchObject({ kind: 'report', failures: [] });
    });

    it('is given back once, whatever is under way, and says so afterwards', async () => {
      const report = await runCheck({ backend, check: 'closing' });
      expect(report).toMatchObject({ kind: 'report', failures: [] });
    });

    it('says that the device was lost', async () => {
      const report = await runCheck({ backend, check: 'loss' });
      expect(report).toMatchObject({ kind: 'report', failures: [] });
    });
  });

  it('gpu takes one of them and says which', async () => {
    const report = await runCheck({ backend: 'gpu', check: 'step' });
    expect(report).toMatchObject({
      kind: 'report',
      choice: expect.stringMatching(/^computing on gpu \(web(gpu|gl2), /),
    });
  });
});
