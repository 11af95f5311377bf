/** Makes the task messages of a run: to a worker with a sample cache, each sample travels once. */
import { bytesOf, enclosed, type MessageOf } from '@lockstep/protocol';
import { encodeBatch } from '../batch-bytes.ts';
import { firstSample, type RunPlan } from '../plan.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { ConnectionId } from './state.ts';

export class TaskSender {
  readonly #source: ShardSource;
  readonly #plan: RunPlan;
  /** For each connection with a cache, one bit per sample of the training set: whether it was sent. */
  readonly #sent = new Map<ConnectionId, Uint8Array>();

  constructor(source: ShardSource, plan: RunPlan) {
    this.#source = source;
    this.#plan = plan;
  }

  /** The message that assigns a shard; `cachesSamples` samples in it count as sent. */
  messageFor(connection: ConnectionId, step: number, { lo, n }: Shard, cachesSamples: boolean): MessageOf<'task'> {
    const samples = cachesSamples
      ? this.#unsent(connection, this.#source.numbers(step, lo, n))
      : encodeBatch(this.#source.shard(step, lo, n));
    return { type: 'task', step, lo, n, first: firstSample(this.#plan, step, lo), ...samples };
  }

  /** Drops what is known of a connection's cache. */
  forget(connection: ConnectionId): void {
    this.#sent.delete(connection);
  }

  /** The numbers of all samples, and those alone that the connection has not been sent. */
  #unsent(connection: ConnectionId, numbers: Uint32Array): ReturnType<typeof encodeBatch> & { numbers: Uint8Array } {
    const sent = this.#sent.get(connection) ?? new Uint8Array(Math.ceil(this.#plan.samples / 8));
    this.#sent.set(connection, sent);
    const marked = numbers.slice();
    const missing = new Uint32Array(numbers.length);
    let count = 0;
    for (let at = 0; at < numbers.length; at++) {
      const number = numbers[at]!;
      const bit = 1 << (number & 7);
      if ((sent[number >> 3]! & bit) !== 0) continue;
      sent[number >> 3]! |= bit;
      marked[at] = number + enclosed;
      missing[count++] = number;
    }
    return { numbers: bytesOf(marked), ...encodeBatch(this.#source.take(missing.subarray(0, count))) };
  }
}
