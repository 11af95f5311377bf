/** Checks the page's account of its own contribution to a run. */
import { bytesOf, type ProgressMessage } from '@lockstep/protocol';
import type { ActiveState } from '@lockstep/worker/browser';
import { signal } from '@preact/signals';
import { expect, it, onTestFinished, vi } from 'vitest';
import { contributionOf, RunStore } from '../src/watch/run-store.ts';

const none = bytesOf(new Float32Array());
const points = { steps: none, seconds: none, losses: none };
const progress = { pauseRequested: false, step: 1, epoch: 1, imagesPerSecond: 0, points };

const report = new TextEncoder().encode(
  JSON.stringify({
    workers: [
      { id: 'w1', samples: 300 },
      { id: 'w2', samples: 0 },
      { id: 'w3', samples: 80 },
      { id: 'w4', samples: 20 },
    ],
  }),
);

it.each([
  [[], 0],
  [['w2'], 0],
  [['w3', 'w4'], 100],
  [['w9'], 0],
])('of the workers %j it has computed %i samples', (ids, ownSamples) => {
  expect(contributionOf(report, new Set(ids))).toEqual({ ownSamples, allSamples: 400, workers: 3 });
});

it('counts only the workers that this tab has been in the current run', async () => {
  const thread = new EventTarget();
  vi.stubGlobal('Worker', function Worker() {
    return Object.assign(thread, { postMessage() {}, terminate() {} });
  });
  vi.stubGlobal('navigator', {});
  vi.stubGlobal('sessionStorage', { getItem: () => null, removeItem() {} });
  vi.stubGlobal('location', { href: 'http://localhost/', hash: '' });
  vi.stubGlobal('addEventListener', () => {});
  onTestFinished(() => void vi.unstubAllGlobals());
  const { TabWorker } = await import('../src/join/tab-worker.ts');
  const store = new RunStore();
  const tab = new TabWorker(store, signal({ token: undefined, admin: undefined }));
  const inRun = (phase: ProgressMessage['phase']): void => store.apply({ type: 'progress', phase, ...progress });
  const become = (phase: ActiveState['phase'], id: string): void => {
    thread.dispatchEvent(new MessageEvent('message', { data: { phase, id } }));
  };

  inRun('training');
  tab.join({ name: 'tab', backend: 'cpu', threads: 1 });
  for (const id of ['w2', 'w4']) become('computing', id);
  inRun('finished');
  become('reconnecting', 'w4');
  expect([...tab.ids]).toEqual(['w2', 'w4']);
  // The page may hear of the next run before or after its worker does.
  inRun('waiting');
  expect([...tab.ids]).toEqual([]);
  become('joining', 'w1');
  inRun('finished');
  become('reconnecting', 'w1');
  become('joining', 'w3');
  inRun('waiting');
  expect([...tab.ids]).toEqual(['w3']);
});
