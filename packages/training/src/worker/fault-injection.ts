/** Trouble that a worker makes for itself because it was told to: it freezes, or computes slower, for a while. */
import type { Clock } from '../clock.ts';
import type { ShardGradient } from './compute.ts';

export interface Trouble<Message> {
  begin(action: 'freeze' | 'slow', forMs: number): void;
  /** While frozen it keeps what arrives, which is delivered in order afterwards; says whether it did. */
  kept(message: Message): boolean;
  /** Resolves when nothing is frozen. */
  thawed(): Promise<void>;
  /** Computes, and while it is to be slow takes a multiple of the time that this takes. */
  slowed(compute: () => Promise<ShardGradient>): Promise<ShardGradient>;
}

/** How many times as long a slow worker takes. */
const slowFactor = 8;
/** A shard that takes no measurable time is slowed as if it took so long. */
const leastComputeMs = 1;

export function createTrouble<Message>(clock: Clock, deliver: (message: Message) => void): Trouble<Message> {
  let frozenUntilMs = Number.NEGATIVE_INFINITY;
  let slowUntilMs = Number.NEGATIVE_INFINITY;
  let kept: Message[] = [];

  const isFrozen = (): boolean => clock.nowMs() < frozenUntilMs;
  const wait = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(delayMs, resolve);
    });

  const thawed = async (): Promise<void> => {
    while (isFrozen()) await wait(frozenUntilMs - clock.nowMs());
  };

  const deliverKept = async (): Promise<void> => {
    await thawed();
    const messages = kept;
    kept = [];
    for (const message of messages) deliver(message);
  };

  return {
    begin(action, forMs) {
      if (action === 'slow') {
        slowUntilMs = clock.nowMs() + forMs;
        return;
      }
      const wasFrozen = isFrozen();
      frozenUntilMs = clock.nowMs() + forMs;
      if (!wasFrozen) void deliverKept();
    },
    kept(message) {
      // What was kept before goes first.
      if (!isFrozen() && kept.length === 0) return false;
      kept.push(message);
      return true;
    },
    thawed,
    async slowed(compute) {
      const result = await compute();
      if (clock.nowMs() >= slowUntilMs) return result;
      const computeMs = slowFactor * Math.max(leastComputeMs, result.computeMs);
      await wait(computeMs - result.computeMs);
      return { ...result, computeMs };
    },
  };
}
