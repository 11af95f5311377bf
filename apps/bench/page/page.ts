/** The page: opens contenders, runs them and answers Node, which takes the rounds. */

import type { PageBench, PageContender, PageContenderName, PageWork } from '../src/peers/page-contract.ts';
import type { MnistStep } from '../src/work/mnist-step.ts';
import { joinParameters, mlpNet } from '../src/work/net.ts';
import { openLockstep } from './lockstep.ts';
import { openTensorflow } from './tensorflow.ts';

interface Entered {
  readonly contender: PageContender;
  readonly work: MnistStep;
  next: number;
  last: readonly Float32Array[];
}

const entered = new Map<PageContenderName, Entered>();

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function base64Of(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function workOf({ batchSize, batches, initial }: PageWork): MnistStep {
  return {
    net: mlpNet,
    batchSize,
    learningRate: 0,
    batches: batches.map(({ pixels, labels }) => ({ pixels: bytesOf(pixels), labels: bytesOf(labels) })),
    initial: new Float32Array(bytesOf(initial).buffer),
  };
}

function openContender(name: PageContenderName, work: MnistStep): Promise<PageContender> {
  switch (name) {
    case 'lockstep webgl':
      return openLockstep(work, 'webgl');
    case 'lockstep webgpu':
      return openLockstep(work, 'webgpu');
    case 'TensorFlow.js webgl':
      return openTensorflow(work, 'webgl');
    case 'TensorFlow.js webgpu':
      return openTensorflow(work, 'webgpu');
    default:
      return name satisfies never;
  }
}

const pageBench: PageBench = {
  async open(name, pageWork) {
    const work = workOf(pageWork);
    try {
      const contender = await openContender(name, work);
      entered.set(name, { contender, work, next: 0, last: [] });
      return { version: contender.version, notes: contender.notes };
    } catch (error) {
      return { absent: error instanceof Error ? error.message : String(error) };
    }
  },
  async reset(name) {
    const place = entered.get(name)!;
    place.next = 0;
    await place.contender.reset();
  },
  async run(name, steps) {
    const place = entered.get(name)!;
    const startedMs = performance.now();
    for (let step = 0; step < steps; step++) {
      place.last = await place.contender.step(place.next++ % place.work.batches.length);
    }
    return performance.now() - startedMs;
  },
  async result(name) {
    return base64Of(new Uint8Array(joinParameters(entered.get(name)!.last).buffer));
  },
  close(name) {
    entered.get(name)?.contender.close();
    entered.delete(name);
  },
};

Object.assign(globalThis, { pageBench });
