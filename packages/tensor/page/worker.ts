/** The worker: opens a backend of the built, minified bundle and answers one question about it. */
import { loadGpuJs } from '../src/backends/gpu/gpujs.ts';
import { openGpuMode } from '../src/backends/gpu/open.ts';
import { verifyBackend } from '../src/backends/verify.ts';
import { type Backend, DeviceLostError, openBackend } from '../src/index.ts';
import { allDisagreements, difference, networkPlan } from '../test/agreement.ts';
import type { Answer, Question } from './messages.ts';

declare const self: { onmessage: ((event: { data: Question }) => void) | null; postMessage(answer: Answer): void };
declare const performance: { now(): number };
declare const OffscreenCanvas: { prototype: { getContext(kind: string, ...rest: unknown[]): WebGlContext | null } };

interface WebGlContext {
  getExtension(name: 'WEBGL_lose_context'): { loseContext(): void } | null;
}

const sizes = { batch: 64, features: 784, hidden: 128, classes: 10 };

async function stepOf(backend: Backend): Promise<Float32Array> {
  const plan = networkPlan(backend, sizes);
  plan.run();
  const values = await backend.download(plan.output);
  plan.dispose();
  return values;
}

async function agreement(backend: Backend): Promise<string[]> {
  const { backend: reference } = await openBackend('reference');
  const complaints = await allDisagreements(backend, reference);
  const wrong = difference(await stepOf(reference), await stepOf(backend));
  if (wrong !== undefined) complaints.push(`the compiled step: ${wrong}`);
  return complaints;
}

async function measure(backend: Backend): Promise<number[]> {
  const plan = networkPlan(backend, sizes);
  const times: number[] = [];
  for (let round = 0; round < 20; round++) {
    const before = performance.now();
    plan.run();
    await backend.download(plan.output);
    times.push(performance.now() - before);
  }
  return times;
}

const contexts: WebGlContext[] = [];
const { getContext } = OffscreenCanvas.prototype;
OffscreenCanvas.prototype.getContext = function (...parameters) {
  const context = getContext.apply(this, parameters);
  if (context !== null) contexts.push(context);
  return context;
};

/** Takes the device away as a driver would, and reports how the backend says so. */
async function lose(backend: Backend): Promise<string[]> {
  const plan = networkPlan(backend, sizes);
  plan.run();
  await backend.download(plan.output);
  for (const context of contexts) context.getExtension('WEBGL_lose_context')?.loseContext();
  await (await loadGpuJs()).WebGPUContext.destroy();
  try {
    plan.run();
    await backend.download(plan.output);
  } catch (error) {
    return error instanceof DeviceLostError && error.code === 'device-lost' ? [] : [`threw ${String(error)}`];
  }
  return ['gave values although its device was lost'];
}

async function open(name: Question['backend']): Promise<{ backend: Backend; choice: string }> {
  if (typeof name === 'string') return openBackend(name);
  const backend = await openGpuMode('gpu', name.mode);
  await verifyBackend(backend);
  return { backend, choice: name.mode };
}

async function answer({ backend: name, what }: Question): Promise<Answer> {
  const { backend, choice } = await open(name);
  const { arithmetic } = backend;
  const complaints = what === 'agreement' ? await agreement(backend) : what === 'loss' ? await lose(backend) : [];
  const stepMs = what === 'step' ? await measure(backend) : [];
  return { kind: 'answer', choice, arithmetic, complaints, stepMs };
}

self.onmessage = ({ data }) => {
  answer(data).then(
    (result) => self.postMessage(result),
    (error: unknown) => {
      self.postMessage({ kind: 'failed', sentence: error instanceof Error ? error.message : String(error) });
    },
  );
};
