/** Every example of every op, on the gpu backends in a real browser. */
import { expect, it } from 'vitest';
import { backends, describeGpuPage } from './gpu-page.ts';

describeGpuPage('every example on the gpu backends', (runCheck) => {
  it.each(backends)('%s agrees with the reference', async (backend) => {
    const report = await runCheck({ backend, checks: ['every example of ops'] });
    expect(report).toMatchObject({ kind: 'report', failures: [] });
  });
});
