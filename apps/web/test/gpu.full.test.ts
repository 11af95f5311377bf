/** Checks tabs on the GPU: the same model up to rounding, training without a lost GPU, refusal of a faulty one. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseDescription, readModelFile, readSafetensors } from '@lockstep/nn';
import { beforeAll, expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { endless, singleRun, startRun } from './run.ts';
import type { Tab } from './tab.ts';

const steps = 10;

const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
/** An endless run of short epochs, in each of which every worker has a turn, however slow it is. */
const inTurns = ['--data', iris, '--label', 'species', '--epochs', '1000000', '--batch', '32', '--expect', '2'];

const modelArgs = {
  mlp: () => ['--steps', `${steps}`],
  'gpt-nano': (folder: string) => ['--steps', `${steps}`, '--data', join(folder, 'song.txt'), '--sample-every', '0'],
} as const;

/** Waits until the panel gives this reason for not using a faster backend. */
async function showsReason(tab: Tab, reason: RegExp): Promise<void> {
  await tab.during('a list of reasons', tab.page.getByText(/^Why not faster/).click());
  await tab.panelShows(reason);
}

/** Runs before the script of the tab's worker, and makes one sum in every GPU kernel 0.1 % too large. */
const tamperingScript = `{
  const tampered = (source) => source.replaceAll('user_s0+=', 'user_s0+=1.001*');
  const { shaderSource } = WebGL2RenderingContext.prototype;
  WebGL2RenderingContext.prototype.shaderSource = function (shader, source) {
    shaderSource.call(this, shader, tampered(source));
  };
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    return createShaderModule.call(this, { ...descriptor, code: tampered(descriptor.code) });
  };
}
`;

describePage('tabs on the GPU', ({ browser, folder }) => {
  const weightsIn = (file: string): Float32Array => {
    const bytes = new Uint8Array(readFileSync(join(folder, file)));
    return readModelFile(parseDescription(readSafetensors(bytes).metadata).model, bytes);
  };
  const argsOf = (model: keyof typeof modelArgs) => ['--model', model, ...modelArgs[model](folder)];

  const singles = new Map<string, Promise<Float32Array>>();
  beforeAll(() => {
    writeFileSync(join(folder, 'song.txt'), 'row, row, row your boat, gently down the stream\n'.repeat(400));
    for (const model of ['mlp', 'gpt-nano'] as const) {
      const file = `single ${model}.safetensors`;
      const run = singleRun(folder, [...argsOf(model), '--save', join(folder, file)]);
      singles.set(
        model,
        run.then(() => weightsIn(file)),
      );
    }
  });

  it.each([
    { model: 'mlp', backend: 'webgl', shown: 'WebGL' },
    { model: 'mlp', backend: 'webgpu', shown: 'WebGPU' },
    { model: 'gpt-nano', backend: 'webgl', shown: 'WebGL' },
    { model: 'gpt-nano', backend: 'webgpu', shown: 'WebGPU' },
  ] as const)(
    'train $model with $shown to the weights of one process within 1e-4 after 10 steps, and never claim the same bits',
    async ({ model, backend, shown }) => {
      const file = join(folder, `${backend} ${model}.safetensors`);
      const run = await startRun(folder, [...argsOf(model), '--wait-for-start', '--save', file]);
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
      expect(report.workers).toMatchObject([{ kind: 'browser', backend, samples: steps * report.config.batch }]);
      const expected = await singles.get(model);
      const differences = weightsIn(`${backend} ${model}.safetensors`).map((value, at) =>
        Math.abs(value - expected![at]!),
      );
      expect(differences.reduce((most, value) => Math.max(most, value), 0)).toBeLessThan(1e-4);
      expect(tab.errors).toEqual([]);
    },
  );

  it.each(['webgl', 'webgpu'] as const)(
    'a tab under %s beside one on the CPU makes the run sample-exact; when it loses its GPU it says so and goes on with the CPU',
    async (gpu) => {
      const run = await startRun(folder, [...inTurns, '--wait-for-start'], { isSlow: true });
      const [tab, other] = [await browser.open(run, 'owner'), await browser.open(run)];
      await tab.join(gpu, 'tab');
      await tab.workersReady(1);
      await other.join('cpu', 'cpu tab');
      await tab.workersReady(2);
      await tab.press('Start');
      await tab.computed(2);
      await other.computed(2);
      const badge = tab.page.getByRole('button', { name: /^sample-exact/ });
      await tab.during('the badge to say sample-exact', badge.waitFor());
      await browser.crashGpu();
      await tab.panelShows(/computes on the CPU \(WebAssembly SIMD\)/);
      await showsReason(tab, /: this tab continues on the CPU/);
      await tab.computed((await tab.computed(0)) + 10);
      const report = await run.stop();
      // The worker keeps its identity.
      expect(report.workers).toMatchObject([{ id: 'w1', name: 'tab', backend: 'cpu' }, { name: 'cpu tab' }]);
      expect(report.steps).toBeGreaterThan(10);
    },
  );

  it.each(['webgl', 'webgpu'] as const)(
    'a tab whose kernels are tampered with under %s is refused before it computes a shard',
    async (gpu) => {
      const run = await startRun(folder, endless, { isSlow: true });
      const tab = await browser.open(run);
      await tab.page.context().route(/worker-thread[^/]*\.js$/, async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: tamperingScript + (await response.text()) });
      });
      await tab.join(gpu, 'tab');
      await tab.panelShows(/^This tab cannot compute: .*its arithmetic is wrong: in the .* of a known network/);
      const report = await run.stop();
      expect(report.workers).toEqual([]);
      expect(tab.errors).toEqual([]);
    },
  );
});
