/** The gpu backends in a real browser: a Web Worker of a built, minified page agrees with the reference. */
import { expect, it } from 'vitest';
import { backends, describeGpuPage } from './gpu-page.ts';

describeGpuPage('the gpu backends', (runCheck) => {
  it.each(backends)(
    '%s: kernels, slices read back and compiled steps agree with the reference, closing gives the device back once, and a loss is reported',
    async (backend) => {
      const report = await runCheck({ backend, checks: ['ops', 'steps', 'endings'] });
      expect(report).toMatchObject({ kind: 'report', failures: [] });
    },
  );

  it('gpu takes one of them and says which', async () => {
    const report = await runCheck({ backend: 'gpu', checks: [] });
    expect(report).toMatchObject({
      kind: 'report',
      choice: expect.stringMatching(/^computing on gpu \(web(gpu|gl2), /),
    });
  });
});
