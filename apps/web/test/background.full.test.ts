/** Checks that a tab in the background continues to compute. */
import { findChromium } from '@lockstep/chromium';
import { afterEach, expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { endless, singleHash, startRun } from './run.ts';
import { type BrowserWindow, openWindow } from './window.ts';

/** The coordinator sends a ping every two seconds; browsers throttle a tab that has been hidden for ten. */
const heartbeats = 7;

describePage('a tab in the background', ({ folder }) => {
  const windows: BrowserWindow[] = [];
  afterEach(() => Promise.all(windows.splice(0).map((window) => window.close())));

  it('goes on computing between any two of seven heartbeats, is shown as hidden, and changes no bit', async () => {
    const run = await startRun(folder, endless, { isSlow: true });
    const [window, viewer] = [await openWindow(findChromium()!), await run.watch()];
    windows.push(window);
    const tab = await window.open(run.join);
    await viewer.next('workers', ({ workers }) => workers.some(({ shards }) => shards > 0));
    expect(await tab.evaluate('document.visibilityState')).toBe('visible');

    await window.open('about:blank');
    expect(await tab.evaluate('document.visibilityState')).toBe('hidden');
    await viewer.next('workers', ({ workers }) => workers.some(({ hidden }) => hidden));
    const shards = await tab.evaluateInWorker<number[]>(`new Promise((resolve) => {
      const { send } = WebSocket.prototype;
      const counts = [];
      let gradients = 0;
      WebSocket.prototype.send = function (data) {
        send.call(this, data);
        // Smaller messages are pings of its own, and pongs.
        if (data.byteLength > 1000) gradients += 1;
        else if (new TextDecoder('latin1').decode(data).includes('pong')) {
          counts.push(gradients);
          gradients = 0;
        }
        if (counts.length > ${heartbeats}) resolve(counts);
      };
    })`);
    expect(await tab.evaluate('document.visibilityState')).toBe('hidden');
    expect(Math.min(...shards.slice(1))).toBeGreaterThan(0);

    await tab.activate();
    expect(await tab.evaluate('document.visibilityState')).toBe('visible');
    const later = await run.watch();
    await later.next('workers', ({ workers }) => workers.some(({ hidden }) => !hidden));
    const report = await run.stop();
    expect(report.workers).toMatchObject([{ kind: 'browser' }]);
    expect(report.faults).toMatchObject({ disconnects: 0, rejected: 0 });
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
  });
});
