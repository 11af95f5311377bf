/** What a tab does about trouble of its own: a GPU that goes or lies, a connection that breaks. */
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import {
  computed,
  during,
  hasBrowser,
  inChromium,
  joinRun,
  says,
  type Tab,
  testPatienceMs,
  useBrowser,
} from './browser.ts';
import { endless, startRun } from './run.ts';

/** What the tab says of why it computes on nothing faster. */
async function givesReason(tab: Tab, reason: RegExp): Promise<void> {
  await during(tab, 'a summary of reasons', tab.page.getByText(/^Why nothing faster/).click());
  await says(tab, reason);
}

/** Put before the script of the tab's worker: a sum of every kernel is one part in a thousand off. */
const tampering = `{
  const tampered = (source) => source.replaceAll('user_s0+=', 'user_s0+=1.001*');
  // Where WebGL 2 is refused, WebGL 1 is tried.
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

describe.skipIf(!hasBrowser)(inChromium('trouble in a tab'), { timeout: testPatienceMs }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();

  it.each(['webgl', 'webgpu'] as const)(
    'a GPU that is lost under %s: it says so and goes on with the CPU',
    async (gpu) => {
      const run = await startRun(folder, endless);
      const tab = await browser.open(run);
      await joinRun(tab, gpu, 'tab');
      await computed(tab, 2);
      await browser.crashGpu();
      await says(tab, /computes on the CPU \(WebAssembly SIMD\)/);
      await givesReason(tab, /: this tab goes on with the CPU/);
      await computed(tab, (await computed(tab, 0)) + 10);
      const report = await run.stop();
      // It stays the worker that it was.
      expect(report.workers).toMatchObject([{ id: 'w1', name: 'tab', backend: 'cpu' }]);
      expect(report.steps).toBeGreaterThan(10);
    },
  );

  it.each(['webgl', 'webgpu'] as const)(
    'a kernel that was tampered with is refused before a shard is computed by %s',
    async (gpu) => {
      const run = await startRun(folder, endless);
      const tab = await browser.open(run);
      await tab.page.context().route(/tab-worker[^/]*\.js$/, async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: tampering + (await response.text()) });
      });
      await joinRun(tab, gpu, 'tab');
      await says(tab, /^This tab cannot compute: .*its arithmetic is wrong: in the .* of a known network/);
      const report = await run.stop();
      expect(report.workers).toEqual([]);
      expect(tab.errors).toEqual([]);
    },
  );

  it('a hidden tab that comes back after its connection broke says again that it is hidden', async () => {
    const run = await startRun(folder, endless);
    const tab = await browser.open(run);
    await joinRun(tab, 'cpu', 'tab');
    await computed(tab, 3);
    await tab.page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { get: () => true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
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
