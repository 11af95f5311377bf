/** Tabs that compute on the GPU: other rounding, and still the same model up to it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readModelFile, resolveModel } from '@lockstep/nn';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import { computed, hasBrowser, inChromium, joinRun, says, useBrowser } from './browser.ts';
import { singleRun, startRun } from './run.ts';

const steps = ['--steps', '50'];

describe.skipIf(!hasBrowser)(inChromium('tabs on the GPU'), { timeout: 240_000 }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();
  const weightsIn = (file: string): Float32Array =>
    readModelFile(resolveModel('mlp'), new Uint8Array(readFileSync(join(folder, file))));

  it.each([
    { backend: 'webgl', shown: 'WebGL' },
    { backend: 'webgpu', shown: 'WebGPU' },
  ] as const)(
    'by $shown give the weights of one process within 1e-4 after 50 steps, and say what they are',
    async ({ backend, shown }) => {
      const run = await startRun(folder, [...steps, '--save', join(folder, `${backend}.safetensors`)]);
      const tab = await browser.open(run.page);
      await joinRun(tab, backend, 'tab');
      await computed(tab, 1);
      await says(tab, shown);
      const report = await run.report();
      expect(report.workers.map(({ kind, backend }) => ({ kind, backend }))).toEqual([{ kind: 'browser', backend }]);
      await singleRun(folder, [...steps, '--save', join(folder, 'single.safetensors')]);
      const expected = weightsIn('single.safetensors');
      const differences = weightsIn(`${backend}.safetensors`).map((value, at) => Math.abs(value - expected[at]!));
      expect(differences.reduce((most, value) => Math.max(most, value), 0)).toBeLessThan(1e-4);
      expect(tab.errors).toEqual([]);
    },
  );

  it('beside the CPU make a run sample-exact', async () => {
    const run = await startRun(folder, ['--epochs', '1', '--wait-for-start']);
    const [gpu, cpu] = [await browser.open(run.owner), await browser.open(run.page)];
    await joinRun(gpu, 'webgl', 'gpu tab');
    await joinRun(cpu, 'cpu', 'cpu tab');
    await gpu.page.getByText('2 workers here').waitFor();
    await gpu.page.getByRole('button', { name: 'Start' }).click();
    await computed(gpu, 2);
    await computed(cpu, 2);
    await gpu.page.getByRole('button', { name: /^sample-exact/ }).waitFor();
  });
});
