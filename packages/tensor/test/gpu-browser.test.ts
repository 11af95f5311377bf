/** The gpu backends in a real browser: a Web Worker of a built, minified page agrees with the reference. */
import { expect, it } from 'vitest';
import { backends, describeGpuPage } from './gpu-page.ts';

describeGpuPage('the gpu backends', (runCheck) => {
  const checks = {
    ops: 'computes every kernel statement, of operations and gradients, as the reference does',
    steps: 'reads slices back whole, and computes compiled steps as the reference does',
    closing: 'is given back once, whatever is under way, and says so afterwards',
    loss: 'says that the device was lost',
  } as const;
  const cases = backends.flatMap((backend) =>
    Object.entries(checks).map(([check, title]) => ({ backend, check, title })),
  );

  it.each(cases)('$backend $title', async ({ backend, check }) => {
    const report = await runCheck({ backend, check: check as keyof typeof checks });
    expect(report).toMatchObject({ kind: 'report', failures: [] });
  });

  it('gpu takes one of them and says which', async () => {
    const report = await runCheck({ backend: 'gpu', check: 'opening' });
    expect(report).toMatchObject({
      kind: 'report',
      choice: expect.stringMatching(/^computing on gpu \(web(gpu|gl2), /),
    });
  });
});
