/** The worker: opens a backend of the built, minified bundle and runs checks of it. */
import { loadGpuJs } from '../../src/backends/gpu/device.ts';
import type { GpuBackend } from '../../src/backends/gpu/gpu-backend.ts';
import { add, apply, type Backend, compile, DeviceLostError, input, openBackend, type Plan } from '../../src/index.ts';
import {
  attentionPlan,
  difference,
  disagreements,
  type ExamplesByOp,
  imageNetworkPlan,
  networkPlan,
  resultOf,
} from '../agreement.ts';
import { fewExamplesOfEveryStatement } from '../every-statement.ts';
import { opExamples, opNames } from '../op-examples.ts';
import { randomValues } from '../values.ts';
import type { CheckReport, CheckRequest } from './page.ts';

declare const self: {
  onmessage: ((event: { data: CheckRequest }) => void) | null;
  postMessage(report: CheckReport): void;
  addEventListener(type: 'error', listener: (event: { message: string }) => void): void;
  addEventListener(type: 'unhandledrejection', listener: (event: { reason: unknown }) => void): void;
};
declare const OffscreenCanvas: { prototype: { getContext(kind: string, ...rest: unknown[]): WebGlContext | null } };

interface WebGlContext {
  isContextLost(): boolean;
  getBufferSubData(): void;
  getExtension(name: 'WEBGL_lose_context'): { loseContext(): void } | null;
}

/** Steps: dense with the sizes of MNIST, heads of attention, and over images with sizes that four divides or not. */
const steps: readonly ((backend: Backend) => Plan)[] = [
  (backend) => networkPlan(backend, { batch: 64, features: 784, hidden: 128, classes: 10 }),
  attentionPlan,
  (backend) => imageNetworkPlan(backend, { batch: 16, image: 28, channels: 1, filters: 8, hidden: 32, classes: 10 }),
  (backend) => imageNetworkPlan(backend, { batch: 5, image: 13, channels: 3, filters: 3, hidden: 17, classes: 7 }),
];

async function stepDisagreements(backend: Backend, compared: typeof steps): Promise<string[]> {
  const { backend: reference } = await openBackend('reference');
  const failures: string[] = [];
  for (const [index, step] of compared.entries()) {
    const wrong = difference(await resultOf(reference, step), await resultOf(backend, step));
    if (wrong !== undefined) failures.push(`compiled step ${index}: ${wrong}`);
  }
  return failures;
}

/** Offset and length of slices in several rows of a texture, or in a part of one. */
const slices = [
  [0, 5],
  [6, 3],
  [4_001, 7],
  [4_002, 5_000],
  [9_999, 1],
] as const;

async function sliceDisagreements(backend: Backend): Promise<string[]> {
  const values = Float32Array.from({ length: 10_000 }, (_, index) => index);
  const storage = backend.allocate(values.length);
  backend.upload(
    storage,
    values.map((value) => value - 1),
  );
  // Uploaded values would be read from their copy, not from the device.
  const inputs = [{ storage, strides: [1] }];
  const call = { formula: apply('add', input(0), 1), shape: [values.length], inputs, output: storage };
  const program = backend.prepare([{ kind: 'map', ...call }]);
  program.run();
  program.dispose();
  const failures: string[] = [];
  for (const [offset, length] of slices) {
    const wrong = difference(
      values.slice(offset, offset + length),
      await backend.download(backend.slice(storage, offset, length)),
    );
    if (wrong !== undefined) failures.push(`${length} values from ${offset} on: ${wrong}`);
  }
  backend.free(storage);
  return failures;
}

const contexts: WebGlContext[] = [];
const { getContext } = OffscreenCanvas.prototype;
OffscreenCanvas.prototype.getContext = function (...parameters) {
  const context = getContext.apply(this, parameters);
  if (context !== null) contexts.push(context);
  return context;
};

async function loseDevice(): Promise<void> {
  for (const context of contexts) context.getExtension('WEBGL_lose_context')?.loseContext();
  await (await loadGpuJs()).WebGPUContext.destroy();
}

/** A plan of one kernel, which compiles quickly. */
function doubling(backend: Backend): Plan {
  const plan = compile(backend, (values) => add(values, values), [[64]]);
  backend.upload(plan.inputs[0]!.storage, randomValues(64, 1));
  return plan;
}

/** Takes the device away from an idle backend, as a driver would, and expects a DeviceLostError, then and in use. */
async function lossFailures(backend: Backend): Promise<string[]> {
  const plan = doubling(backend);
  plan.run();
  await backend.download(plan.output);
  await loseDevice();
  if (!((await backend.lost) instanceof DeviceLostError)) return ['gave no reason for the loss'];
  return lostReadFailures(backend, plan);
}

/** Expects a DeviceLostError if a context fills no memory, as if its GPU process ended and the context knew nothing of it. */
async function emptyReadFailures(backend: Backend): Promise<string[]> {
  const plan = doubling(backend);
  for (const context of contexts) context.getBufferSubData = () => {};
  return lostReadFailures(backend, plan);
}

async function lostReadFailures(backend: Backend, plan: Plan): Promise<string[]> {
  try {
    plan.run();
    await backend.download(plan.output);
  } catch (error) {
    return error instanceof DeviceLostError && error.code === 'device-lost' ? [] : [`threw ${String(error)}`];
  }
  return ['gave values although its device was lost'];
}

/** Messages of uncaught errors. */
const uncaught: string[] = [];
self.addEventListener('error', ({ message }) => uncaught.push(`uncaught: ${message}`));
self.addEventListener('unhandledrejection', ({ reason }) => uncaught.push(`uncaught: ${String(reason)}`));

/** Returns a message unless a use of a closed backend fails with the error that says so. */
async function closedFailures(use: string, body: () => Promise<unknown>): Promise<string[]> {
  try {
    await body();
  } catch (error) {
    return /the device was closed$/.test((error as Error).message) ? [] : [`${use}: ${String(error)}`];
  }
  return [`${use}: worked`];
}

/** Closes twice during a read, uses what is closed, opens another device, and closes that one after its loss. */
async function endingFailures(first: GpuBackend, name: CheckRequest['backend']): Promise<string[]> {
  const plan = doubling(first);
  plan.run();
  const reading = first.download(plan.output).then(
    (values) => (values.every(Number.isFinite) ? [] : ['a read under way gave values that are not finite']),
    (error) => closedFailures('a read under way', () => Promise.reject(error)),
  );
  await Promise.all([first.close(), first.close()]);
  await first.close();
  const failures = await reading;
  const givenBack = contexts.some((context) => context.isContextLost());
  if (first.mode !== 'webgpu' && !givenBack) failures.push('the context was not given back');
  failures.push(...(await closedFailures('a run', async () => plan.run())));
  failures.push(...(await closedFailures('a download', () => first.download(plan.output))));
  plan.dispose();
  const { backend: second } = await openBackend(name);
  failures.push(...(await stepDisagreements(second, [doubling])), ...(await lossFailures(second)));
  await (second as GpuBackend).close();
  if (first.mode === 'webgpu') return failures;
  const { backend: third } = await openBackend(name);
  failures.push(...(await emptyReadFailures(third)));
  await (third as GpuBackend).close();
  return failures;
}

async function opDisagreements(backend: Backend, examples: ExamplesByOp): Promise<string[]> {
  const { backend: reference } = await openBackend('reference');
  const found: string[] = [];
  for (const name of opNames) found.push(...(await disagreements(backend, reference, name, examples[name])));
  return found;
}

/** The failures that each check finds. */
const checks = {
  ops: (backend) => opDisagreements(backend, fewExamplesOfEveryStatement()),
  'every example of ops': (backend) => opDisagreements(backend, opExamples),
  steps: async (backend) => [...(await sliceDisagreements(backend)), ...(await stepDisagreements(backend, steps))],
  endings: endingFailures,
} satisfies Record<
  CheckRequest['checks'][number],
  (backend: GpuBackend, name: CheckRequest['backend']) => Promise<string[]>
>;

async function report({ backend: name, checks: asked }: CheckRequest): Promise<CheckReport> {
  const { backend, choice } = await openBackend(name);
  const failures: string[] = [];
  for (const check of asked) {
    const found = await checks[check](backend as GpuBackend, name);
    failures.push(...found.map((failure) => `${check}: ${failure}`));
  }
  return { kind: 'report', choice, failures: [...failures, ...uncaught] };
}

self.onmessage = ({ data }) => {
  report(data).then(
    (result) => self.postMessage(result),
    (error: unknown) => {
      self.postMessage({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    },
  );
};
