/** Takes in the numbers of results: checks them, adds them to the step's sum, or holds them until they are compared. */
import type { MessageOf } from '@lockstep/protocol';
import type { DecodedSum } from '../aggregator.ts';
import type { NewHash } from '../incremental-hash.ts';
import type { Shard } from '../tree.ts';
import type { CheckedMessage, CoordinatorEvent } from './events.ts';
import { HeldResults } from './held-results.ts';
import { IncomingGradient, type IncomingGradientOptions } from './incoming-gradient.ts';
import type { InlineGradientMessage, InlineSum } from './inline-worker.ts';
import { Plausibility, type SumSize } from './plausibility.ts';
import type { OwnSum } from './referee.ts';
import { dispositionOf } from './results.ts';
import type { ConnectionId, CoordinatorState } from './state.ts';

type Refereed = Extract<CoordinatorEvent, { type: 'refereed' }>;

export class ResultReceiver {
  readonly #options: IncomingGradientOptions;
  readonly #held: HeldResults;
  readonly #plausibility = new Plausibility();
  readonly #isVerifying: boolean;

  constructor(options: IncomingGradientOptions & { readonly newHash: NewHash }) {
    this.#options = options;
    this.#held = new HeldResults(options.setup, options.parameterServer.aggregator, options.newHash);
    this.#isVerifying = (options.setup.verifyRate ?? 0) > 0;
  }

  /** A gradient that begins to arrive. Its shard may still change hands: until its step is over, all of it is kept. */
  begin(state: CoordinatorState, connection: ConnectionId, header: MessageOf<'gradient'>): IncomingGradient {
    const isWanted = header.step >= state.current.step && state.connections.get(connection)?.phase === 'ready';
    return new IncomingGradient(this.#options, header, isWanted);
  }

  /** Adds, holds or ignores a gradient that is whole; returns what the rules are told of it. */
  finish(state: CoordinatorState, connection: ConnectionId, gradient: IncomingGradient): CheckedMessage {
    const { header, memory, largest } = gradient;
    const { type, step, lo, n, computeMs, turnaroundMs } = header;
    const told = { type, step, lo, n, computeMs, turnaroundMs };
    if (!memory) return told;
    const { aggregator } = this.#options.parameterServer;
    const disposition = dispositionOf(state, connection, header);
    const sum = disposition === 'ignore' ? undefined : aggregator.finish(memory, largest, header);
    const isSuspect = sum !== undefined && this.#isVerifying && !this.#plausibility.isPlausible(sizeOf(sum, header));
    if (disposition === 'add' && sum && !isSuspect) {
      aggregator.add({ lo, n }, memory);
      return told;
    }
    if (disposition === 'ignore' || !sum) aggregator.release(memory);
    if (disposition === 'ignore') return told;
    if (!sum) {
      const message = `the gradient of microbatches ${lo} to ${lo + n - 1} is not finite`;
      return { type: 'taskError', step, lo, n, code: 'non-finite', message };
    }
    const workerId = state.connections.get(connection)?.workerId ?? '';
    const numericsHash = state.records.get(workerId)?.numericsHash ?? '';
    const size = sizeOf(sum, header);
    const agreesWith = this.#held.add({ lo, n }, { connection, memory, size, numericsHash });
    return { ...told, agreesWith, isSuspect };
  }

  /** Adds, holds or drops the sum of a worker of this process; returns what the rules are told of it. */
  finishInline(
    state: CoordinatorState,
    connection: ConnectionId,
    told: InlineGradientMessage,
    { sum, count }: { readonly sum: InlineSum; readonly count: number },
  ): CheckedMessage {
    const { aggregator } = this.#options.parameterServer;
    const disposition = dispositionOf(state, connection, told);
    if (disposition === 'add') aggregator.add(told, sum);
    else if (disposition === 'ignore') aggregator.release(sum);
    else if ('left' in sum) throw new Error('expected memory of its own for a result that is compared');
    else return { ...told, agreesWith: this.holdOwn(told, { memory: sum, count }, connection).agreesWith };
    return told;
  }

  /**
   * Holds what the coordinator itself has computed; returns what the rules are told of it.
   * @param connection of the worker that it is, where it takes part as one; else it decides between others
   */
  holdOwn(
    shard: Shard,
    { memory, count }: OwnSum,
    connection: ConnectionId = 0,
  ): Pick<Refereed, 'isFinite' | 'agreesWith'> {
    const { parameterServer, setup } = this.#options;
    const { aggregator, parameterCount } = parameterServer;
    const sum = aggregator.read(memory);
    if (!sum) {
      aggregator.release(memory);
      return { isFinite: false, agreesWith: [] };
    }
    const own = { connection, memory, size: sizeOf(sum, { lossSum: sum.values[parameterCount]!, count }) };
    const agreesWith = this.#held.add(shard, { ...own, numericsHash: setup.refereeHash ?? '' });
    return { isFinite: true, agreesWith };
  }

  /** Lets the memory of results that are held, of one shard or of all, be used for others, where a digest is enough. */
  digestHeld(shard?: Shard): void {
    this.#held.digest(shard);
  }

  /** Drops what the coordinator itself has computed, where it is not needed any more. */
  dropOwn({ memory }: OwnSum): void {
    this.#options.parameterServer.aggregator.release(memory);
  }

  /** Adds a result that was held and found to be right; the others of its shard are dropped. */
  addHeld({ lo, n }: Shard, from: ConnectionId): void {
    const result = this.#held.take({ lo, n }, from);
    if (!result) throw new Error(`microbatches ${lo} to ${lo + n - 1}: expected a held result of connection ${from}`);
    this.#plausibility.confirm(result.size);
    this.#options.parameterServer.aggregator.add({ lo, n }, result.memory);
  }

  /** Drops what was added and held of a step, which begins anew, or with an asked shard of it. */
  restartStep(step: number, asked?: Shard): void {
    this.#held.clear();
    this.#options.parameterServer.beginStep(step, asked);
  }

  /** Drops what is held of a step that is taken, or of an asked shard that is done. */
  stepTaken(): void {
    this.#held.clear();
    this.#plausibility.age();
  }
}

function sizeOf({ largest }: DecodedSum, { lossSum, count }: { lossSum: number; count: number }): SumSize {
  return { gradient: largest / count, loss: lossSum / count };
}
