/** Tabs that compute on the GPU: other rounding, and still the same model up to it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readModelFile, resolveModel } from '@lockstep/nn';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import {
  computed,
  during,
  hasBrowser,
  inChromium,
  joinRun,
  press,
  says,
  testPatienceMs,
  useBrowser,
  workersReady,
} from './browser.ts';
import { endless, singleRun, startRun } from './run.ts';

const steps = ['--steps', '50'];

describe.skipIf(!hasBrowser)(inChromium('tabs on the GPU'), { timeout: testPatienceMs }, () => {
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
      const file = join(folder, `${backend}.safetensors`);
      const run = await startRun(folder, [...steps, '--wait-for-start', '--save', file]);
      const tab = await browser.open(run, 'owner');
      await joinRun(tab, backend, 'tab');
      await workersReady(tab, 1);
      await says(tab, shown);
      await press(tab, 'Start');
      const report = await run.report();
      expect(report.workers).toMatchObject([{ kind: 'browser', backend, samples: 50 * report.config.batch }]);
      await singleRun(folder, [...steps, '--save', join(folder, 'single.safetensors')]);
      const expected = weightsIn('single.safetensors');
      const differences = weightsIn(`${backend}.safetensors`).map((value, at) => Math.abs(value - expected[at]!));
      expect(differences.reduce((most, value) => Math.max(most, value), 0)).toBeLessThan(1e-4);
      expect(tab.errors).toEqual([]);
    },
  );

  it('beside the CPU make a run sample-exact', async () => {
    const run = await startRun(folder, [...endless, '--wait-for-start']);
    const [gpu, cpu] = [await browser.open(run, 'owner'), await browser.open(run)];
    await joinRun(gpu, 'webgl', 'gpu tab');
    await joinRun(cpu, 'cpu', 'cpu tab');
    await workersReady(gpu, 2);
    await press(gpu, 'Start');
    await computed(gpu, 2);
    await computed(cpu, 2);
    const badge = gpu.page.getByRole('button', { name: /^sample-exact/ });
    await during(gpu, 'the badge to say sample-exact', badge.waitFor());
  });
});
