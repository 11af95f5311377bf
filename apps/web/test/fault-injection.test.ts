/** Injects faults into a tab: a GPU that is lost or computes wrong, a connection that breaks. */
import { expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { endless, startRun } from './run.ts';
import type { Tab } from './tab.ts';

/** Waits until the panel gives this reason for computing on nothing faster. */
async function showsReason(tab: Tab, reason: RegExp): Promise<void> {
  await tab.during('a list of reasons', tab.page.getByText(/^Why not faster/).click());
  await tab.panelShows(reason);
}

/** Runs before the script of the tab's worker: makes one sum in every GPU kernel 0.1 % too large. */
const tamperingScript = `{
  const tampered = (source) => source.replaceAll('user_s0+=', 'user_s0+=1.001*');
  // The backend falls back to WebGL 1.
  for (const { prototype } of [WebGL2RenderingContext, WebGLRenderingContext]) {
    const { shaderSource } = prototype;
    prototype.shaderSource = function (shader, source) {
      shaderSource.call(this, shader, tampered(source));
    };
  }
  const { createShaderModule } = GPUDevice.prototype;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    return createShaderModule.call(this, { ...descriptor, code: tampered(descriptor.code) });
  };
}
`;

describePage('faults in a tab', ({ browser, folder }) => {
  it.each(['webgl', 'webgpu'] as const)(
    'a tab whose GPU is lost under %s says so and goes on with the CPU',
    async (gpu) => {
      const run = await startRun(folder, endless);
      const tab = await browser.open(run);
      await tab.join(gpu, 'tab');
      await tab.computed(2);
      await browser.crashGpu();
      await tab.panelShows(/computes on the CPU \(WebAssembly SIMD\)/);
      await showsReason(tab, /: this tab goes on with the CPU/);
      await tab.computed((await tab.computed(0)) + 10);
      const report = await run.stop();
      // It stays the same worker.
      expect(report.workers).toMatchObject([{ id: 'w1', name: 'tab', backend: 'cpu' }]);
      expect(report.steps).toBeGreaterThan(10);
    },
  );

  it.each(['webgl', 'webgpu'] as const)(
    'a tab whose kernels are tampered with under %s is refused before it computes a shard',
    async (gpu) => {
      const run = await startRun(folder, endless);
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

  it('a hidden tab that reconnects reports again that it is hidden', async () => {
    const run = await startRun(folder, endless);
    const tab = await browser.open(run);
    await tab.join('cpu', 'tab');
    await tab.computed(3);
    await tab.hide();
    const before = await run.watch();
    await before.next('workers', ({ workers }) => workers[0]?.hidden === true);
    await tab.page.workers()[0]!.evaluate(() => {
      const { send } = WebSocket.prototype;
      WebSocket.prototype.send = function () {
        WebSocket.prototype.send = send;
        this.close();
      };
    });
    await before.next('event', ({ message }) => message.includes('tab is back'));
    const after = await run.watch();
    await after.next('workers', ({ workers }) => workers[0]?.phase === 'ready' && workers[0].hidden);
    const report = await run.stop();
    expect(report.workers.map(({ id }) => id)).toEqual(['w1']);
    expect(report.faults.disconnects).toBe(1);
  });
});
