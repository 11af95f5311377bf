/** The tab's worker: socket, heartbeat and arithmetic, on a thread that goes on when the page is busy or hidden. */

import { openChecksum } from '@lockstep/protocol';
import { DeviceLostError } from '@lockstep/tensor';
import { systemClock } from '@lockstep/train';
import {
  type Compute,
  ComputeError,
  createLocalCompute,
  keepJoined,
  type Membership,
  type MembershipEnd,
} from '@lockstep/training';
import { sha256 } from '@noble/hashes/sha2.js';
import { connect } from './connect.ts';
import type { EndReason, JoinRequest, PageMessage, TabMessage } from './messages.ts';
import { openForTab } from './open.ts';

/** The least time between two reports of what was computed. */
const reportEveryMs = 250;

const tell = (message: TabMessage): void => postMessage(message);

let membership: Membership | undefined;
let hidden = false;
let hasLeft = false;

const done = { shards: 0, samples: 0, computeMs: 0 };
let reportedAtMs = 0;

addEventListener('message', ({ data }: MessageEvent<PageMessage>) => {
  switch (data.type) {
    case 'join':
      void takePart(data);
      return;
    case 'hidden':
      hidden = data.hidden;
      membership?.setHidden(hidden);
      return;
    case 'leave':
      hasLeft = true;
      membership?.leave('the tab leaves');
      return;
    default:
      data satisfies never;
  }
});

async function takePart(request: JoinRequest): Promise<void> {
  let { backend: choice, resumeKey } = request;
  const refused: string[] = [];
  try {
    const checksum = await openChecksum();
    for (;;) {
      const { backend, device, refused: others } = await openForTab(choice, request.workload, systemClock);
      refused.push(...others);
      tell({ type: 'opened', backend: backend.name, device, refused });
      let deviceLost: string | undefined;
      const compute = watched(createLocalCompute(backend, systemClock), (message) => {
        deviceLost = message;
        membership?.leave('its GPU was lost');
      });
      membership = keepJoined({
        compute,
        clock: systemClock,
        random: Math.random,
        checksum,
        hash: (bytes) => toHex(sha256(bytes)),
        identity: { kind: 'browser', name: request.name, token: request.token, resumeKey },
        connect: () => connect(request.url),
        onEvent(event) {
          switch (event.type) {
            case 'welcomed':
              resumeKey = event.resumeKey;
              tell(event);
              return;
            case 'computed':
              count(event);
              return;
            case 'lost':
            case 'unreached':
              tell({ type: 'retrying', message: event.message });
              return;
            case 'ready':
              tell(event);
              return;
            default:
              event satisfies never;
          }
        },
      });
      membership.setHidden(hidden);
      if (hasLeft) membership.leave('the tab leaves');
      const end = await membership.ended;
      membership = undefined;
      if (deviceLost === undefined || hasLeft) {
        tell({ type: 'ended', reason: reasonOf(end), message: end.message });
        return;
      }
      refused.push(`${deviceLost}: this tab goes on with the CPU`);
      choice = 'cpu';
    }
  } catch (error) {
    tell({ type: 'ended', reason: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
}

function reasonOf(end: MembershipEnd): EndReason {
  return hasLeft && end.type === 'finished' ? 'left' : end.type;
}

/** Tells when the device is lost: then no shard can be computed any more, however often it is asked for. */
function watched(compute: Compute, onLost: (message: string) => void): Compute {
  return {
    ...compute,
    async gradient(...shard) {
      try {
        return await compute.gradient(...shard);
      } catch (error) {
        const isLost =
          error instanceof DeviceLostError || (error instanceof ComputeError && error.code === 'device-lost');
        if (isLost) onLost(error.message);
        throw isLost ? new ComputeError('device-lost', error.message) : error;
      }
    },
  };
}

function count({ count: samples, computeMs }: { readonly count: number; readonly computeMs: number }): void {
  done.shards += 1;
  done.samples += samples;
  done.computeMs += computeMs;
  const nowMs = systemClock.nowMs();
  if (nowMs - reportedAtMs < reportEveryMs) return;
  reportedAtMs = nowMs;
  tell({ type: 'computed', ...done });
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
