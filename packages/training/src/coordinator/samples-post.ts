/** The task messages of a run: to a worker that keeps samples, each sample travels once. */
import { enclosed, type MessageOf } from '@lockstep/protocol';
import { firstSample, type RunPlan } from '../plan.ts';
import type { BlockSource } from '../samples.ts';
import type { Block } from '../tree.ts';
import type { ConnectionId } from './state.ts';

export interface SamplesPost {
  /**
   * The message that gives a block of a step to a connection; it is taken to be sent.
   * @param keeps whether the worker behind it keeps what it gets
   */
  messageFor(connection: ConnectionId, step: number, block: Block, keeps: boolean): MessageOf<'task'>;
  /** Nobody is behind the connection any more. */
  forget(connection: ConnectionId): void;
}

export function createSamplesPost(source: BlockSource, plan: RunPlan): SamplesPost {
  /** A bit for each sample that a connection has. */
  const held = new Map<ConnectionId, Uint8Array>();

  const missing = (connection: ConnectionId, numbers: Uint32Array): Pick<MessageOf<'task'>, 'samples'> & Sent => {
    const has = held.get(connection) ?? new Uint8Array(Math.ceil(plan.samples / 8));
    held.set(connection, has);
    const samples = new Uint32Array(numbers.length);
    const sent = new Uint32Array(numbers.length);
    let count = 0;
    for (const [index, number] of numbers.entries()) {
      const bit = 1 << (number & 7);
      if ((has[number >> 3]! & bit) === 0) {
        has[number >> 3]! |= bit;
        samples[index] = number + enclosed;
        sent[count++] = number;
      } else samples[index] = number;
    }
    return { samples: new Uint8Array(samples.buffer), ...source.take(sent.subarray(0, count)) };
  };

  return {
    messageFor(connection, step, { lo, n }, keeps) {
      const samples = keeps ? missing(connection, source.numbers(step, lo, n)) : source.block(step, lo, n);
      return { type: 'task', step, lo, n, first: firstSample(plan, step, lo), ...samples };
    },
    forget(connection) {
      held.delete(connection);
    },
  };
}

type Sent = Pick<MessageOf<'task'>, 'pixels' | 'labels'>;
