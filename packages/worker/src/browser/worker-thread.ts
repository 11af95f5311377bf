/** Thread of this tab's worker: socket, heartbeat and compute, undisturbed by a busy or hidden page. */

import { type Compute, ComputeError, createLocalCompute, createNumericsCheck } from '@lockstep/compute';
import { errorMessage } from '@lockstep/data/shown';
import { parseModel } from '@lockstep/nn';
import {
  FramePool,
  subprotocol,
  type WebSocketLike,
  type WorkerTransport,
  webSocketTransport,
} from '@lockstep/protocol';
import { type Backend, DeviceLostError, type OpenedBackend, openBackend } from '@lockstep/tensor';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { Membership, type MembershipEvent, maxFrameBytes } from '../membership.ts';
import { systemClock } from '../system-clock.ts';
import {
  type ActiveState,
  type EndedState,
  type JoinRequest,
  missingGpu,
  openingState,
  type PageMessage,
  tabThreads,
  type Workload,
} from './tab.ts';

const postEveryMs = 250;

let state: ActiveState = openingState(undefined);
let postedAtMs = 0;
let membership: Membership | undefined;
let hidden = false;
let hasLeft = false;

addEventListener('message', ({ data }: MessageEvent<PageMessage>) => {
  switch (data.type) {
    case 'join':
      takePart(data)
        .catch((error: unknown): EndedState => {
          return { phase: 'ended', end: 'failed', message: errorMessage(error) };
        })
        .then((end) => {
          // Post the results since the last update.
          post(state);
          post(end);
        });
      return;
    case 'hidden':
      hidden = data.hidden;
      membership?.reportStatus({ hidden });
      return;
    case 'leave':
      hasLeft = true;
      membership?.leave('the tab leaves');
      return;
    default:
      data satisfies never;
  }
});

function post(posted: ActiveState | EndedState): void {
  postedAtMs = systemClock.nowMs();
  postMessage(posted);
}

function update(changes: Partial<ActiveState>): void {
  state = { ...state, ...changes };
  if (!('shards' in changes) || systemClock.nowMs() - postedAtMs >= postEveryMs) post(state);
}

/** Joins with the chosen backend, and again on the CPU if the GPU is lost. */
async function takePart(request: JoinRequest): Promise<EndedState> {
  const { url, name, token, resumeKey, outlivesServer = false } = request;
  let { backend: choice } = request;
  state = openingState(resumeKey);
  for (;;) {
    const chosen = await chooseBackend({ ...request, backend: choice });
    const { backend, device } = chosen;
    const reasons = [...state.reasons, ...chosen.reasons];
    update({ phase: 'joining', backend: backend.name, threads: chosen.threads, device, reasons });
    let deviceLost: string | undefined;
    void backend.lost?.then(({ message }) => {
      deviceLost = message;
      membership?.leave('the GPU was lost');
    });
    const compute = tellingLoss(createLocalCompute(backend, systemClock));
    membership = new Membership({
      compute,
      clock: systemClock,
      random: Math.random,
      hash: (bytes) => bytesToHex(sha256(bytes)),
      identity: { kind: 'browser', name, token, resumeKey: state.resumeKey },
      connect: () => connect(url),
      outlivesServer,
      onEvent: handleEvent,
    });
    if (hidden) membership.reportStatus({ hidden });
    if (hasLeft) membership.leave('the tab leaves');
    const end = await membership.ended;
    const { type, message } = end;
    membership = undefined;
    if (hasLeft || deviceLost === undefined) {
      const isTokenWrong = end.type === 'refused' && end.code === 'token';
      return { phase: 'ended', end: hasLeft && type === 'finished' ? 'left' : type, message, isTokenWrong };
    }
    state = { ...state, reasons: [...state.reasons, `${deviceLost}: this tab continues on the CPU`] };
    choice = 'cpu';
  }
}

function handleEvent(event: MembershipEvent): void {
  switch (event.type) {
    case 'welcomed':
      update({ phase: 'joining', id: event.id, resumeKey: event.resumeKey });
      return;
    case 'ready':
      update({ phase: 'computing' });
      return;
    case 'computed': {
      const { shards, samples, computeMs } = state;
      const computed = { shards: shards + 1, samples: samples + event.count, computeMs: computeMs + event.computeMs };
      update({ step: event.step + 1, ...computed });
      return;
    }
    case 'lost':
    case 'unreached':
      update({ phase: 'reconnecting', retryReason: event.message });
      return;
    default:
      event satisfies never;
  }
}

/** Tells the coordinator of a shard that failed because the device was lost. */
function tellingLoss(compute: Compute): Compute {
  const gradient = compute.gradient.bind(compute);
  compute.gradient = async (...shard) => {
    try {
      return await gradient(...shard);
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      throw new ComputeError('device-lost', error.message);
    }
  };
  return compute;
}

type ChosenBackend = ReturnType<typeof describe>;

/** Most time that trying the GPU may delay joining. */
const gpuTrialMs = 1_500;
/** Untimed shards: the first ones compile kernels. */
const warmUpShards = 2;
const timedShards = 3;

/**
 * Opens the chosen backend; `auto` is the one that computes a shard of this run fastest.
 * @throws Error if no backend that the choice allows can compute
 */
async function chooseBackend({ backend: choice, threads, workload }: JoinRequest) {
  if (choice !== 'auto') return describe(await openBackend(choice, tabThreads(threads)));
  const cpu = describe(await openBackend('auto', tabThreads(threads)));
  if (!workload) return cpu;
  const missing = await missingGpu();
  if (missing !== undefined) return { ...cpu, reasons: [...cpu.reasons, missing] };
  const trial = tryGpu(cpu.backend, workload);
  const timeout = new Promise<string>((resolve) => {
    systemClock.after(gpuTrialMs, () => resolve(`the GPU was not ready within ${gpuTrialMs / 1000} s`));
  });
  const result = await Promise.race([trial, timeout]);
  if (typeof result !== 'string') return result;
  // The GPU may still become ready after the timeout.
  void trial.then((gpu) => {
    if (typeof gpu !== 'string') close(gpu.backend);
  });
  return { ...cpu, reasons: [...cpu.reasons, result] };
}

/** Returns the GPU if it computes a shard faster than the CPU, else the reason against it. */
async function tryGpu(cpu: Backend, workload: Workload): Promise<ChosenBackend | string> {
  let gpu: ChosenBackend | undefined;
  try {
    gpu = describe(await openBackend('gpu'));
    const cpuMs = await shardMs(cpu, workload);
    const gpuMs = await shardMs(gpu.backend, workload);
    if (gpuMs < cpuMs) {
      close(cpu);
      return gpu;
    }
    close(gpu.backend);
    const gpuTime = `${gpu.device ?? 'the GPU'} takes ${gpuMs.toFixed(1)} ms`;
    const reason = `${gpuTime} for ${workload.samples} samples of this run, the CPU ${cpuMs.toFixed(1)} ms`;
    return [...gpu.reasons, reason].join('; ');
  } catch (error) {
    if (gpu) close(gpu.backend);
    return errorMessage(error);
  }
}

function describe({ backend, refused }: OpenedBackend) {
  const { adapter, mode }: { adapter?: string; mode?: string } = backend as object;
  const parts = [mode === backend.name ? undefined : mode, adapter].filter((part) => part !== undefined);
  const device = parts.length === 0 ? undefined : parts.join(', ');
  return { backend, threads: backend.threads ?? 1, reasons: refused, device };
}

/** Shortest time of a few shards, in milliseconds. @throws Error if the backend cannot compute this model */
async function shardMs(backend: Backend, { samples: count, format, ...setup }: Workload): Promise<number> {
  const compute = createLocalCompute(backend, systemClock);
  try {
    const model = parseModel(setup.model);
    await compute.open({ ...setup, model, targetField: format.targetField });
    const { weights, samples, targets } = createNumericsCheck(model, Math.max(1, Math.round(count / 1.5)), format);
    compute.setWeights(weights);
    const times: number[] = [];
    while (times.length < warmUpShards + timedShards) times.push((await compute.gradient(samples, targets)).computeMs);
    return Math.min(...times.slice(warmUpShards));
  } finally {
    await compute.close();
  }
}

function close(backend: Backend & { close?: () => void }): void {
  backend.close?.();
}

/** Opens the browser's WebSocket to a coordinator. @throws Error that guesses: browsers tell scripts no cause */
async function connect(url: string): Promise<WorkerTransport> {
  const socket = new WebSocket(url, subprotocol);
  const frames = new FramePool();
  const ends = { side: 'worker', remote: url, maxFrameBytes, frames, copies: true } as const;
  const transport = webSocketTransport(socket as WebSocketLike, ends);
  const { host } = new URL(url);
  const expected =
    host === location.host
      ? ''
      : `: expected one at ${host} that lets pages of ${location.origin} join (--allow-origin)`;
  const message = `no connection to the coordinator${expected}`;
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('error', () => reject(new Error(message)), { once: true });
  });
  return transport;
}
