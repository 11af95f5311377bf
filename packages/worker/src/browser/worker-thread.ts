/** Thread of this tab's worker: socket, heartbeat and compute, undisturbed by a busy or hidden page. */

import { type Compute, ComputeError, createLocalCompute } from '@lockstep/compute';
import { subprotocol, type WebSocketLike, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { DeviceLostError } from '@lockstep/tensor';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { Membership, type MembershipEvent } from '../membership.ts';
import { systemClock } from '../system-clock.ts';
import { chooseBackend } from './choose-backend.ts';
import { type ActiveState, type EndedState, type JoinRequest, openingState, type PageMessage } from './tab-state.ts';

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
          return { phase: 'ended', end: 'failed', message: error instanceof Error ? error.message : String(error) };
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
  const { url, name, token, workload, threads, resumeKey, outlivesServer = false } = request;
  let { backend: choice } = request;
  state = openingState(resumeKey);
  for (;;) {
    const chosen = await chooseBackend({ choice, threads, workload }, systemClock);
    const { backend, device } = chosen;
    const reasons = [...state.reasons, ...chosen.reasons];
    update({ phase: 'joining', backend: backend.name, threads: chosen.threads, device, reasons });
    let deviceLost: string | undefined;
    const compute = watchDevice(createLocalCompute(backend, systemClock), (message) => {
      deviceLost = message;
      membership?.leave('its GPU was lost');
    });
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
    const { type, message } = await membership.ended;
    membership = undefined;
    if (hasLeft || deviceLost === undefined) {
      return { phase: 'ended', end: hasLeft && type === 'finished' ? 'left' : type, message };
    }
    state = { ...state, reasons: [...state.reasons, `${deviceLost}: this tab goes on with the CPU`] };
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

/** Calls `onLost` when a shard fails because the device is lost, as every later shard would. */
function watchDevice(compute: Compute, onLost: (message: string) => void): Compute {
  const gradient = compute.gradient.bind(compute);
  compute.gradient = async (...shard) => {
    try {
      return await gradient(...shard);
    } catch (error) {
      if (!(error instanceof DeviceLostError)) throw error;
      onLost(error.message);
      throw new ComputeError('device-lost', error.message);
    }
  };
  return compute;
}

/** Large enough for the weights of the largest model that a tab can hold. */
const maxFrameBytes = 512 * 1024 * 1024;

/** Opens the browser's WebSocket to a coordinator. @throws Error without a cause, which browsers do not tell scripts */
async function connect(url: string): Promise<WorkerTransport> {
  const socket = new WebSocket(url, subprotocol);
  const transport = webSocketTransport(socket as WebSocketLike, { side: 'worker', remote: url, maxFrameBytes });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('error', () => reject(new Error('no connection to the coordinator')), { once: true });
  });
  return transport;
}
