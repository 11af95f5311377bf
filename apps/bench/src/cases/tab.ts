/** The benchmark of a browser's tab: gradients in a page of Chromium. Node runs the rounds, the page takes the time. */
import { fileURLToPath } from 'node:url';
import type { OpenPage } from '@lockstep/chromium';
import { version } from '@lockstep/command';
import type { Absent, Benchmark, Implementation } from '../harness.ts';
import { mlpNet, type TrainingStep } from '../work.ts';
import { gradientDistance, mnistWork } from './steps.ts';

/** A library and the device that it computes on. */
export type TabCandidate = `${'lockstep' | 'TensorFlow.js'} ${'webgl' | 'webgpu'}` | 'lockstep cpu';

/** The parts of the work that can be sent to the page. */
export type TabWork = Pick<TrainingStep, 'batchSize' | 'batches' | 'initial'>;

/** The interface of the page for Node: `tab` of its global object. */
export interface Tab {
  /** `version` is undefined for Lockstep, whose version is known to Node. */
  open(
    name: TabCandidate,
    work: TabWork,
  ): Promise<(Pick<Implementation, 'notes'> & { readonly version?: string }) | Absent>;
  reset(name: TabCandidate): Promise<void>;
  run(name: TabCandidate, steps: number): Promise<number>;
  /** The gradient of the last step in one vector. */
  result(name: TabCandidate): Float32Array;
  close(name: TabCandidate): void;
}

declare const tab: Tab;

const root = fileURLToPath(new URL('../../page/', import.meta.url));
const [batchSize, batchCount, checkedSteps] = [64, 16, 3];

/** One page for all candidates, built and opened for the first one. */
let opening: Promise<OpenPage> | undefined;

async function openInTab(work: TrainingStep, name: TabCandidate): Promise<Implementation | Absent> {
  // Loaded on demand, because it imports a bundler that no other benchmark needs.
  const { findChromium, openBuiltPage } = await import('@lockstep/chromium');
  const executablePath = findChromium();
  if (executablePath === undefined) return { absent: 'no Chromium was found; set CHROME_PATH to the path of one' };
  opening ??= openBuiltPage({ root, executablePath });
  const { page, errors } = await opening;
  const { batches, initial } = work;
  const given = [name, { batchSize, batches, initial }] as const;
  const opened = await page.evaluate(([candidate, tabWork]) => tab.open(candidate, tabWork), given);
  if ('absent' in opened) return opened;
  return {
    version: opened.version ?? version,
    notes: opened.notes,
    reset: () => page.evaluate((candidate) => tab.reset(candidate), name),
    async run(steps) {
      const ms = await page.evaluate(([candidate, count]) => tab.run(candidate, count), [name, steps] as const);
      if (errors.length > 0) throw new Error(errors.join('; '));
      return ms;
    },
    result: () => page.evaluate((candidate) => tab.result(candidate), name),
    close: () => page.evaluate((candidate) => tab.close(candidate), name),
  };
}

const tabBenchmark: Benchmark = {
  name: 'tab',
  title: '784-128-10 on MNIST in a tab of Chromium: gradients of batch 64 on the CPU, WebGL and WebGPU, read back',
  method: [
    'One page, bundled and minified. WebGL and WebGPU are those of SwiftShader, a software renderer, unless there is a GPU.',
    'A step is the gradient of the mean cross-entropy at the initial weights, which stay on the device, and all of it read back.',
    'Lockstep uploads the bytes of its pixels at every step, as a worker does; TensorFlow.js finds its batches on the device.',
    `"Off by" is the relative distance of the gradient of batch ${checkedSteps} from that of plain loops.`,
  ],
  async cases() {
    const work = await mnistWork(mlpNet, batchSize, batchCount);
    const distance = await gradientDistance(work, work.batches[checkedSteps - 1]!);
    return (['webgl', 'webgpu'] as const).map((api) => ({
      name: `${api}, batch ${batchSize}`,
      workPerStep: { amount: batchSize, unit: 'images' },
      checkedSteps,
      tolerance: 1e-4,
      distance,
      candidates: ([`lockstep ${api}`, `TensorFlow.js ${api}`, 'lockstep cpu'] as const).map((name) => ({
        name,
        open: () => openInTab(work, name),
      })),
    }));
  },
  async close() {
    const opened = await opening?.catch(() => undefined);
    opening = undefined;
    await opened?.close();
  },
};

export default [tabBenchmark];
