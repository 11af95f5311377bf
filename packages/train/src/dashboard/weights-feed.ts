/** The weights as viewers see them: a short hash, and copies for pages that ask. */
import { bytesOf, encodeWatch } from '@lockstep/protocol';
import type { ParameterServer } from '@lockstep/training';
import { sha256 } from '../node/sha256.ts';
import type { Viewer } from './viewer.ts';

const hashDigits = 16;
const hashEveryMs = 1_000;
/** The part of the time that hashing a large model may take. */
const hashPart = 0.01;
const weightsEveryMs = 1_000;

export class WeightsFeed {
  /** First digits of the last hash; undefined before the first. */
  hash: string | undefined;
  /** Steps that the hashed weights had taken. */
  hashStep = -1;
  readonly #parameterServer: ParameterServer;
  readonly #nowMs: () => number;
  #hashDueAtMs = Number.NEGATIVE_INFINITY;
  #sentAtMs = Number.NEGATIVE_INFINITY;

  constructor(parameterServer: ParameterServer, nowMs: () => number) {
    this.#parameterServer = parameterServer;
    this.#nowMs = nowMs;
  }

  /** Hashes the weights after `step` steps, where a new hash is due. */
  refreshHash(step: number): void {
    const startedAtMs = this.#nowMs();
    if (step === this.hashStep || startedAtMs < this.#hashDueAtMs) return;
    const { backend, parameters } = this.#parameterServer;
    this.hash = sha256(bytesOf(backend.view(parameters))).slice(0, hashDigits);
    this.hashStep = step;
    const endedAtMs = this.#nowMs();
    this.#hashDueAtMs = endedAtMs + Math.max(hashEveryMs, (endedAtMs - startedAtMs) / hashPart);
  }

  /** Sends one copy of the weights to all viewers that have asked for it, at most once a second. */
  serve(viewers: Iterable<Viewer>, step: number): void {
    const nowMs = this.#nowMs();
    const waiting = [...viewers].filter(({ wantsWeights, keepsUp }) => wantsWeights && keepsUp);
    if (waiting.length === 0 || nowMs - this.#sentAtMs < weightsEveryMs) return;
    this.#sentAtMs = nowMs;
    const frame = encodeWatch({ type: 'weights', step, bytes: bytesOf(this.#parameterServer.weights()) });
    for (const viewer of waiting) {
      viewer.wantsWeights = false;
      viewer.sendFrame(frame);
    }
  }
}
