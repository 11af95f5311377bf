/** Checks that tabs on the GPU train the same model up to rounding. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readModelFile, resolveModel } from '@lockstep/nn';
import { expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { endless, singleRun, startRun } from './run.ts';

const steps = ['--steps', '50'];

describePage('tabs on the GPU', ({ browser, folder }) => {
  const weightsIn = (file: string): Float32Array =>
    readModelFile(resolveModel('mlp'), new Uint8Array(readFileSync(join(folder, file))));

  it.each([
    { backend: 'webgl', shown: 'WebGL' },
    { backend: 'webgpu', shown: 'WebGPU' },
  ] as const)(
    'with $shown give the weights of one process within 1e-4 after 50 steps, and never claim the same bits',
    async ({ backend, shown }) => {
      const file = join(folder, `${backend}.safetensors`);
      const run = await startRun(folder, [...steps, '--wait-for-start', '--save', file]);
      const tab = await browser.open(run, 'owner');
      await tab.join(backend, 'tab');
      await tab.workersReady(1);
      await tab.panelShows(shown);
      await tab.press('Start');
      const badge = tab.page.getByRole('button', { name: new RegExp(`^bit-exact among ${backend}`) });
      await tab.during('the badge to name the backend', badge.waitFor());
      const report = await run.report();
      expect(report).toMatchObject({ exactness: 'bit-exact', bitExactAmong: backend, verified: null });
      expect(report.numericMode).toMatch(/^gpu\.js .*, numerics check [0-9a-f]{8}$/);
      expect(report.workers).toMatchObject([{ kind: 'browser', backend, samples: 50 * report.config.batch }]);
      await singleRun(folder, [...steps, '--save', join(folder, 'single.safetensors')]);
      const expected = weightsIn('single.safetensors');
      const differences = weightsIn(`${backend}.safetensors`).map((value, at) => Math.abs(value - expected[at]!));
      expect(differences.reduce((most, value) => Math.max(most, value), 0)).toBeLessThan(1e-4);
      expect(tab.errors).toEqual([]);
    },
  );

  it('together with the CPU make a run sample-exact', async () => {
    const run = await startRun(folder, [...endless, '--wait-for-start']);
    const [gpu, cpu] = [await browser.open(run, 'owner'), await browser.open(run)];
    await gpu.join('webgl', 'gpu tab');
    await cpu.join('cpu', 'cpu tab');
    await gpu.workersReady(2);
    await gpu.press('Start');
    await gpu.computed(2);
    await cpu.computed(2);
    const badge = gpu.page.getByRole('button', { name: /^sample-exact/ });
    await gpu.during('the badge to say sample-exact', badge.waitFor());
  });
});
