/** Opens backends: each computes a small known gradient first, and the fastest that is right is taken. */

import { callback, checkArgument, checkFields, type Kind, listed, oneOf, wholeNumber } from '../arguments.ts';
import { valueAndGrad } from '../autograd.ts';
import type { Backend, HostBackend } from '../backend.ts';
import { compile, type Plan } from '../compile.ts';
import { reshape } from '../ops/arrange.ts';
import { add, relu } from '../ops/elementwise.ts';
import { softmaxCrossEntropy } from '../ops/losses.ts';
import { matmul } from '../ops/matmul.ts';
import { mean } from '../ops/reduce.ts';
import { conv2d, maxPool2d } from '../ops/windows.ts';
import type { Shape } from '../shape.ts';
import { createCpuBackend } from './cpu/cpu-backend.ts';
import type { ThreadOptions } from './cpu/threads.ts';
import type { GpuMode } from './gpu/gpu-backend.ts';
import { createReferenceBackend } from './reference.ts';

/**
 * The network has every kind of product, forward and backward: a dense layer turns features into images, followed by a
 * convolution, pooling and another dense layer. Kernels take other paths if sizes are divisible by four and if there is
 * much to do, so the first dense layer is large and even, the last one small and odd.
 */
const [samples, features, height, width, channels] = [16, 64, 4, 4, 4];
const [window, filters, classes] = [3, 4, 7];
const image = height * width * channels;

const pooled = Math.floor(height / 2) * Math.floor(width / 2) * filters;

/** Shapes of the parameters. */
const parameters: Readonly<Record<string, Shape>> = {
  'first weights': [features, image],
  'first bias': [image],
  kernel: [window, window, channels, filters],
  "kernel's bias": [filters],
  'last weights': [pooled, classes],
  'last bias': [classes],
};

/**
 * Largest difference from the reference that float32 rounding explains, relative to the largest value of the same
 * tensor.
 */
const tolerance = 1e-5;

/** Values in [-1, 1) from a linear congruential generator: the same on every engine. */
function knownValues(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Compiles the loss and gradients of the network, as training does, on fixed data. */
function createPlan(backend: Backend): Plan {
  const plan = compile(
    backend,
    (batch, labels, ...leaves) => {
      const { value, gradients } = valueAndGrad((w1, b1, kernel, b2, w3, b3) => {
        const images = reshape(relu(add(matmul(batch!, w1!), b1!)), [samples, height, width, channels]);
        const filtered = relu(add(conv2d(images, kernel!, { padding: 1 }), b2!));
        const activations = reshape(maxPool2d(filtered, 2), [samples, pooled]);
        return mean(softmaxCrossEntropy(add(matmul(activations, w3!), b3!), labels!));
      }, leaves);
      return [value, ...gradients];
    },
    [[samples, features], [samples], ...Object.values(parameters)],
  );
  const [batch, labels, ...leaves] = plan.inputs;
  // Half of the inputs are 0, so that paths that skip zeros run too.
  const inputs = knownValues(batch!.size, 1).map((value) => Math.max(value, 0));
  backend.upload(batch!.storage, inputs);
  const classOf = (_: unknown, sample: number): number => sample % classes;
  backend.upload(labels!.storage, Float32Array.from({ length: samples }, classOf));
  for (const [index, { storage, size }] of leaves.entries()) backend.upload(storage, knownValues(size, index + 2));
  return plan;
}

const { performance } = globalThis as unknown as { performance: { now(): number } };

/** Runs the plan and returns the milliseconds it took; throws unless the values match up to float32 rounding. */
async function compareRun(plan: Plan, backend: Backend, expected: Float32Array): Promise<number> {
  const startedMs = performance.now();
  plan.run();
  const got = await backend.download(plan.output);
  const ms = performance.now() - startedMs;
  let start = 0;
  plan.outputs.forEach(({ size }, index) => {
    const what = index === 0 ? 'loss' : `gradient of the ${Object.keys(parameters)[index - 1]}`;
    compare(what, expected.subarray(start, start + size), got.subarray(start, start + size));
    start += size;
  });
  return ms;
}

/**
 * Returns the milliseconds that the known gradient takes once everything is compiled, including the download.
 * @throws Error with one sentence if a gradient differs from the reference by more than float32 rounding
 */
export async function checkNumerics(backend: Backend): Promise<number> {
  const reference = createReferenceBackend();
  const expected = createPlan(reference);
  expected.run();
  const values = await reference.download(expected.output);
  const plan = createPlan(backend);
  try {
    await compareRun(plan, backend, values);
    return await compareRun(plan, backend, values);
  } finally {
    plan.dispose();
  }
}

function compare(what: string, expected: Float32Array, got: Float32Array): void {
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const wrong = expected.findIndex((value, at) => !(Math.abs(value - got[at]!) <= tolerance * scale));
  if (wrong < 0) return;
  throw new Error(
    `its arithmetic is wrong: in the ${what} of a known network, value ${wrong} should be ${expected[wrong]}, got ${got[wrong]}`,
  );
}

/** Backends whose storages JavaScript can access. */
const hostOpeners = {
  cpu: createCpuBackend,
  reference: createReferenceBackend,
} as const satisfies Record<string, (threads?: ThreadOptions) => HostBackend | Promise<HostBackend>>;

/** Backends on gpu.js, with its modes in the order in which they are tried. */
const gpuModes = {
  gpu: ['webgpu', 'webgl2'],
  webgpu: ['webgpu'],
  webgl: ['webgl2'],
} as const satisfies Record<string, readonly GpuMode[]>;

/** Names of backends that compute in the memory of this process. */
export type HostBackendName = keyof typeof hostOpeners;

/** Names of backends that compute on a GPU. */
export type GpuBackendName = keyof typeof gpuModes;

type BackendName = HostBackendName | GpuBackendName;

/** A backend by its name, or `auto` for the first that passes its check. */
export type BackendChoice = BackendName | 'auto';

/** All backends that compute in the memory of this process. */
export const hostBackendNames = Object.keys(hostOpeners) as readonly HostBackendName[];

/** Backends that give equal bits on every engine, the fastest first: the order in which `auto` tries them. */
const exactBackendNames = ['cpu', 'reference'] as const satisfies readonly HostBackendName[];

const gpuBackendNames = Object.keys(gpuModes) as readonly GpuBackendName[];

/** All backends. */
export const backendNames: readonly BackendName[] = [...hostBackendNames, ...gpuBackendNames];

const threadOptions = { count: wholeNumber(1), start: callback } as const satisfies Record<string, Kind>;

/** A backend that passed its check, and why others were not chosen. */
export interface OpenedBackend<Kind extends Backend = Backend> {
  readonly backend: Kind;
  /** One sentence per backend, or mode of one, that was tried earlier and could not be used, in order. */
  readonly refused: readonly string[];
  /** One line: the chosen backend, and why the others were not chosen. */
  readonly choice: string;
}

interface Candidate {
  readonly label: string;
  /** @param refuse takes a sentence if threads are unavailable */
  open(refuse: (reason: string) => void): Backend | Promise<Backend>;
}

function candidatesOf(choice: BackendChoice, threads: ThreadOptions | undefined): Candidate[] {
  if (choice === 'auto') return exactBackendNames.flatMap((name) => candidatesOf(name, threads));
  if (choice in hostOpeners) {
    const open = hostOpeners[choice as HostBackendName];
    return [{ label: choice, open: (refuse) => openOnThreads(open, threads, refuse) }];
  }
  const modes = gpuModes[choice as GpuBackendName];
  return modes.map((mode) => ({ label: mode, open: () => openOnGpu(choice, mode) }));
}

/** Imports on demand, because half of this package's code is about GPUs. */
async function openOnGpu(name: string, mode: GpuMode): Promise<Backend> {
  const { GpuBackend, openDevice } = await import('./gpu/gpu-backend.ts');
  return new GpuBackend(name, await openDevice(mode));
}

/** Falls back to one thread if several are unavailable. */
async function openOnThreads(
  open: (threads?: ThreadOptions) => HostBackend | Promise<HostBackend>,
  threads: ThreadOptions | undefined,
  refuse: (reason: string) => void,
): Promise<HostBackend> {
  if (threads === undefined || threads.count === 1) return open();
  try {
    return await open(threads);
  } catch (error) {
    refuse(`one thread computes instead of ${threads.count}: ${messageOf(error)}`);
    return open();
  }
}

/**
 * Opens a backend and checks its numerics.
 *
 * `auto` takes the first of `exactBackendNames` that opens and passes: a backend with its own rounding must be named.
 * `gpu` takes WebGPU if possible, else WebGL.
 * @param threads threads of `cpu`; other backends have one
 * @throws an Error with one sentence if everything that the choice allows is refused
 */
export function openBackend(
  choice: HostBackendName | 'auto',
  threads?: ThreadOptions,
): Promise<OpenedBackend<HostBackend>>;

export function openBackend(choice: BackendChoice, threads?: ThreadOptions): Promise<OpenedBackend>;

export async function openBackend(choice: BackendChoice, threads?: ThreadOptions): Promise<OpenedBackend> {
  checkArgument('openBackend', 'the backend', choice, oneOf('auto', ...backendNames));
  if (threads !== undefined) {
    checkFields('openBackend', 'the threads', threads, threadOptions);
    checkArgument('openBackend', 'count', threads.count, threadOptions.count);
  }
  const refused: string[] = [];
  const candidates = candidatesOf(choice, threads);
  for (const [index, { label, open }] of candidates.entries()) {
    let backend: (Backend & { close?: () => Promise<void> }) | undefined;
    try {
      backend = await open((reason) => refused.push(reason));
      const ms = await checkNumerics(backend);
      const untried = candidates.slice(index + 1).map((candidate) => candidate.label);
      const remarks = [...(await comparedWithCpu(backend, ms)), ...refused, ...reasons(choice, label, untried)];
      return { backend, refused, choice: [describe(backend), ...remarks].join('; ') };
    } catch (error) {
      await backend?.close?.();
      refused.push(`backend ${label} was refused: ${messageOf(error)}`);
    }
  }
  throw new Error(refused.join('; '));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A backend; one on a GPU also has an adapter and a mode. */
type Described = Backend & { readonly mode?: string; readonly adapter?: string };

/** Measures how slow a software renderer is, compared with the cpu backend. */
async function comparedWithCpu({ adapter }: Described, ms: number): Promise<string[]> {
  if (adapter === undefined || !isSoftwareAdapter(adapter)) return [];
  try {
    const cpuMs = await checkNumerics(await hostOpeners.cpu());
    return [`it needs ${ms.toFixed(1)} ms for a small known gradient, cpu ${cpuMs.toFixed(1)} ms`];
  } catch {
    // There is no cpu backend to compare with.
    return [];
  }
}

/** Describes a backend: "cpu in 4 threads", "gpu (webgpu, the adapter's name)". */
function describe({ name, mode, adapter, threads = 1, vectorBits }: Described): string {
  if (adapter === undefined) {
    const wide = vectorBits === 256 ? ' with 256-bit vectors' : '';
    return `computing on ${name}${threads === 1 ? '' : ` in ${threads} threads`}${wide}`;
  }
  const device = mode === name || mode === undefined ? adapter : `${mode}, ${adapter}`;
  return `computing on ${name} (${device}${isSoftwareAdapter(adapter) ? ': a software renderer' : ''})`;
}

/** Reasons why the backends after `chosen`, and those that `auto` does not try, are not used. */
function reasons(choice: BackendChoice, chosen: string, untried: readonly string[]): string[] {
  if (choice !== 'auto') {
    return untried.length === 0 ? [] : [`${listed(untried, 'and')} not tried, because ${chosen} comes first`];
  }
  return ['GPUs only on request'];
}

/** Whether a driver names a software renderer, such as SwiftShader. */
export function isSoftwareAdapter(adapter: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software/i.test(adapter);
}
