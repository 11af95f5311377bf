/** The weights as viewers see them: a hash that is cheap enough, and copies for pages that ask. */
import { bytesOf, type WatchMessageOf } from '@lockstep/protocol';
import type { Viewer } from './viewers.ts';

export interface WeightsViewOptions {
  /** A copy of the parameters as they are now. */
  readonly weights: () => Float32Array<ArrayBuffer>;
  readonly hash: (bytes: Uint8Array) => string;
  readonly nowMs: () => number;
}

export interface WeightsView {
  /** First digits of the last hash, and after how many steps it was taken. */
  readonly hash: string | undefined;
  readonly hashStep: number;
  /** Hashes anew where that is due. */
  refreshHash(step: number): void;
  /** Sends weights to those who asked for them and have had none for a second. */
  serve(viewers: Iterable<Viewer>, step: number): void;
}

const hashDigits = 16;
const hashEveryMs = 1_000;
/** Hashing a large model may take this part of the time and no more. */
const hashPart = 0.01;
const weightsEveryMs = 1_000;
/** A copy that is younger is given to others too. */
const freshMs = 500;

export function createWeightsView({ weights, hash, nowMs }: WeightsViewOptions): WeightsView {
  let shown: string | undefined;
  let shownStep = -1;
  let hashDueAtMs = Number.NEGATIVE_INFINITY;
  let message: WatchMessageOf<'weights'> | undefined;
  let messageAtMs = Number.NEGATIVE_INFINITY;

  const messageOf = (step: number, now: number): WatchMessageOf<'weights'> => {
    if (message === undefined || (message.step !== step && now - messageAtMs > freshMs)) {
      message = { type: 'weights', step, bytes: bytesOf(weights()) };
      messageAtMs = now;
    }
    return message;
  };

  return {
    get hash() {
      return shown;
    },
    get hashStep() {
      return shownStep;
    },
    refreshHash(step) {
      const startedAtMs = nowMs();
      if (step === shownStep || startedAtMs < hashDueAtMs) return;
      shown = hash(bytesOf(weights())).slice(0, hashDigits);
      shownStep = step;
      const now = nowMs();
      hashDueAtMs = now + Math.max(hashEveryMs, (now - startedAtMs) / hashPart);
    },
    serve(viewers, step) {
      const now = nowMs();
      for (const viewer of viewers) {
        if (!viewer.wantsWeights || !viewer.keepsUp || now - viewer.weightsAtMs < weightsEveryMs) continue;
        viewer.wantsWeights = false;
        viewer.weightsAtMs = now;
        viewer.send(messageOf(step, now));
      }
    },
  };
}
