/** The task messages of a run: to a worker that keeps samples, each sample travels once. */
import type { Samples } from '@lockstep/data';
import { bytesOf, enclosed, type MessageOf } from '@lockstep/protocol';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { ConnectionId } from './state.ts';

export interface SamplesPost {
  /**
   * The message that gives a shard of a step to a connection; it is taken to be sent.
   * @param keeps whether the worker behind it keeps what it gets
   */
  messageFor(connection: ConnectionId, step: number, shard: Shard, keeps: boolean): MessageOf<'task'>;
  /** Nobody is behind the connection any more. */
  forget(connection: ConnectionId): void;
}

export function createSamplesPost(source: ShardSource, plan: RunPlan): SamplesPost {
  /** A bit for each sample that a connection has. */
  const pauseRequested = new Map<ConnectionId, Uint8Array>();

  const heldBy = (connection: ConnectionId): Uint8Array => {
    const has = pauseRequested.get(connection) ?? new Uint8Array(Math.ceil(plan.samples / 8));
    pauseRequested.set(connection, has);
    return has;
  };

  const named = (connection: ConnectionId, numbers: Uint32Array): Samples & { samples: Uint8Array } => {
    const has = heldBy(connection);
    const samples = numbers.slice();
    const missing = new Uint32Array(numbers.length);
    let count = 0;
    for (let at = 0; at < numbers.length; at += 1) {
      const number = numbers[at]!;
      const bit = 1 << (number & 7);
      if ((has[number >> 3]! & bit) !== 0) continue;
      has[number >> 3]! |= bit;
      samples[at] = number + enclosed;
      missing[count++] = number;
    }
    return { samples: bytesOf(samples), ...source.take(missing.subarray(0, count)) };
  };

  return {
    messageFor(connection, step, { lo, n }, keeps) {
      const samples = keeps ? named(connection, source.numbers(step, lo, n)) : source.shard(step, lo, n);
      return { type: 'task', step, lo, n, first: firstSample(plan, step, lo), ...samples };
    },
    forget(connection) {
      pauseRequested.delete(connection);
    },
  };
}
