/** Candidates that compute in a page of a real browser: Node runs the rounds, the page measures the time. */

import { fileURLToPath } from 'node:url';
import type { OpenPage } from '@lockstep/chromium';
import { version } from '@lockstep/command';
import type { Absent, Implementation } from '../benchmark.ts';
import type { MnistStep } from '../nets.ts';

/** The parts of the work that can be sent to the page. */
export type PageWork = Pick<MnistStep, 'batchSize' | 'batches' | 'initial'>;

export type PageCandidate = `${'lockstep' | 'TensorFlow.js'} ${'webgl' | 'webgpu'}`;

export interface Described {
  /** Undefined for Lockstep, whose version is known to Node. */
  readonly version: string | undefined;
  readonly notes: readonly string[];
}

/** Computes one gradient after another, each read back, at the initial parameters of 784-128-10. */
export interface PageGradient extends Described {
  /** Makes this backend the library's active one. */
  activate?(): Promise<void>;
  /** The gradient of the mean loss of batch `index`, read back, one array per parameter in model order. */
  step(index: number): Promise<readonly Float32Array[]>;
  close(): void;
}

export interface PageBench {
  open(name: PageCandidate, work: PageWork): Promise<Described | Absent>;
  reset(name: PageCandidate): Promise<void>;
  run(name: PageCandidate, steps: number): Promise<number>;
  /** The gradient of the last step in one vector. */
  result(name: PageCandidate): Float32Array;
  close(name: PageCandidate): void;
}

declare const pageBench: PageBench;

const root = fileURLToPath(new URL('../../page/', import.meta.url));

/** One page for all candidates, built and opened for the first one. */
export class SharedPage {
  #opening: Promise<OpenPage> | undefined;

  /** The gradient of the mean loss at the initial parameters, read back at every step. */
  async openGradient(work: MnistStep, name: PageCandidate): Promise<Implementation | Absent> {
    // Loaded on demand, because it imports a bundler that no other benchmark needs.
    const { findChromium, openBuiltPage } = await import('@lockstep/chromium');
    const executablePath = findChromium();
    if (executablePath === undefined) return { absent: 'no Chromium was found; set CHROME_PATH to the path of one' };
    this.#opening ??= openBuiltPage({ root, executablePath });
    const { page, errors } = await this.#opening;
    const { batchSize, batches, initial } = work;
    const given = [name, { batchSize, batches, initial }] as const;
    const opened = await page.evaluate(([candidate, pageWork]) => pageBench.open(candidate, pageWork), given);
    if ('absent' in opened) return opened;
    return {
      version: opened.version ?? version,
      notes: opened.notes,
      reset: () => page.evaluate((candidate) => pageBench.reset(candidate), name),
      async run(steps) {
        const ms = await page.evaluate(([candidate, count]) => pageBench.run(candidate, count), [name, steps] as const);
        if (errors.length > 0) throw new Error(errors.join('; '));
        return ms;
      },
      result: () => page.evaluate((candidate) => pageBench.result(candidate), name),
      close: () => page.evaluate((candidate) => pageBench.close(candidate), name),
    };
  }

  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined);
    this.#opening = undefined;
    await opened?.close();
  }
}
