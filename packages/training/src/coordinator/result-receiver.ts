/** Takes in the numbers of results: checks them, adds them to the step's sum, or holds them until they are compared. */
import type { MessageOf } from '@lockstep/protocol';
import type { DecodedSum, SumMemory } from '../aggregator.ts';
import { type Shard, shardKey } from '../tree.ts';
import type { CheckedMessage, CoordinatorEvent, Effect } from './events.ts';
import { HeldResults } from './held-results.ts';
import { IncomingGradient, type IncomingGradientOptions } from './incoming-gradient.ts';
import type { InlineGradientMessage, InlineSum } from './inline-worker.ts';
import { Plausibility, type SumSize } from './plausibility.ts';
import type { OwnSum } from './referee.ts';
import { settle } from './results.ts';
import type { ConnectionId, CoordinatorState } from './state.ts';
import { awaitedFrom, isTrial } from './trials.ts';

type Refereed = Extract<CoordinatorEvent, { type: 'refereed' }>;

export class ResultReceiver {
  readonly #options: IncomingGradientOptions;
  readonly #held: HeldResults;
  readonly #plausibility = new Plausibility();
  readonly #isVerifying: boolean;

  constructor(options: IncomingGradientOptions) {
    this.#options = options;
    this.#held = new HeldResults(options.parameterServer.aggregator);
    this.#isVerifying = (options.setup.verifyRate ?? 0) > 0;
  }

  /** A gradient that begins to arrive. Its shard may still change hands: until its step is over, all of it is kept. */
  begin(state: CoordinatorState, connection: ConnectionId, header: MessageOf<'gradient'>): IncomingGradient {
    const sender = state.connections.get(connection);
    const isLate = header.step < state.current.step;
    const isCompared = isTrial(sender, header) && this.#held.addedAt(header) !== undefined;
    const isWanted = sender?.phase === 'ready' && (!isLate || isCompared);
    return new IncomingGradient(this.#options, header, isWanted);
  }

  /** Adds, holds, compares or drops a gradient that is whole; returns what the rules are told of it. */
  finish(state: CoordinatorState, connection: ConnectionId, gradient: IncomingGradient): CheckedMessage {
    const { header, memory, largest } = gradient;
    const { type, step, lo, n, computeMs, turnaroundMs } = header;
    const told = { type, step, lo, n, computeMs, turnaroundMs };
    if (!memory) return told;
    const { aggregator } = this.#options.parameterServer;
    const settlement = settle(state, connection, header);
    const sum = settlement === 'drop' ? undefined : aggregator.finish(memory, largest, header);
    const isSuspect = sum !== undefined && this.#isVerifying && !this.#plausibility.isPlausible(sizeOf(sum, header));
    const numericsHash = numericsHashOf(state, connection) ?? '';
    if (settlement === 'add' && sum && !isSuspect) {
      this.#keepForLate(state, connection, header, { memory, numericsHash, isChecked: false });
      aggregator.add({ lo, n }, memory);
      return told;
    }
    const comparison = settlement === 'compare' && sum && this.#held.compareLate(header, { memory, numericsHash });
    if (!sum || settlement === 'compare') aggregator.release(memory);
    if (settlement === 'drop') return told;
    if (comparison) return { ...told, comparison };
    if (!sum) {
      const message = `the gradient of microbatches ${lo} to ${lo + n - 1} is not finite`;
      return { type: 'taskError', step, lo, n, code: 'non-finite', message };
    }
    if (settlement === 'compare') return told;
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
    const settlement = settle(state, connection, told);
    const numericsHash = numericsHashOf(state, connection) ?? '';
    if (settlement === 'add') {
      if (!('left' in sum)) this.#keepForLate(state, connection, told, { memory: sum, numericsHash, isChecked: true });
      aggregator.add(told, sum);
    } else if (settlement !== 'hold') aggregator.release(sum);
    else if ('left' in sum) throw new Error('expected memory of its own for a result that is compared');
    else {
      const from = { connection, numericsHash };
      return { ...told, agreesWith: this.holdOwn(told, { memory: sum, count }, from).agreesWith };
    }
    return told;
  }

  /** Keeps a sum that is about to be added, if a worker on trial with its shard has not answered. */
  #keepForLate(
    state: CoordinatorState,
    connection: ConnectionId,
    { step, lo, n }: Shard & { readonly step: number },
    { isChecked, ...sum }: { memory: SumMemory; numericsHash: string; isChecked: boolean },
  ): void {
    const shard = state.current.shards.get(shardKey({ lo, n }));
    const awaited = shard ? awaitedFrom(state, step, shard, connection) : [];
    this.#keep({ step, lo, n }, sum, { awaited, isChecked });
  }

  #keep(
    place: Shard & { readonly step: number },
    sum: { readonly memory: SumMemory; readonly numericsHash: string },
    { awaited, isChecked }: { readonly awaited: readonly ConnectionId[]; readonly isChecked: boolean },
  ): void {
    if (awaited.length === 0) return;
    this.#held.keepAdded(place, sum, isChecked);
  }

  /**
   * Holds what the coordinator itself has computed; returns what the rules are told of it.
   * @param from the worker that it is, where it takes part as one; else it decides between others
   */
  holdOwn(
    shard: Shard,
    { memory, count }: OwnSum,
    from?: { readonly connection: ConnectionId; readonly numericsHash: string },
  ): Pick<Refereed, 'isFinite' | 'agreesWith'> {
    const { parameterServer, setup } = this.#options;
    const { aggregator, parameterCount } = parameterServer;
    const sum = aggregator.read(memory);
    if (!sum) {
      aggregator.release(memory);
      return { isFinite: false, agreesWith: [] };
    }
    const size = sizeOf(sum, { lossSum: sum.values[parameterCount]!, count });
    const { connection, numericsHash } = from ?? { connection: 0, numericsHash: setup.refereeHash ?? '' };
    const agreesWith = this.#held.add(shard, { connection, memory, size, numericsHash });
    return { isFinite: true, agreesWith };
  }

  /** Drops what the coordinator itself has computed, where it is not needed any more. */
  dropOwn({ memory }: OwnSum): void {
    this.#options.parameterServer.aggregator.release(memory);
  }

  /** Adds a result that was held and found to be right; the others of its shard are dropped. */
  addHeld({ step, lo, n, from, awaited = [] }: Extract<Effect, { type: 'addHeld' }>): void {
    const result = this.#held.take({ lo, n }, from);
    if (!result) throw new Error(`microbatches ${lo} to ${lo + n - 1}: expected a held result of connection ${from}`);
    this.#plausibility.confirm(result.size);
    this.#keep({ step, lo, n }, result, { awaited, isChecked: true });
    this.#options.parameterServer.aggregator.add({ lo, n }, result.memory);
  }

  /** Drops what was added and held of a step, which begins anew, or with an asked shard of it. */
  restartStep(step: number, asked?: Shard): void {
    this.#held.clear();
    const [from, to] = asked ? [asked.lo, asked.lo + asked.n] : [0, Number.POSITIVE_INFINITY];
    this.#held.dropAdded((place) => place.step !== step || place.lo < from || place.lo >= to);
    this.#options.parameterServer.beginStep(step, asked);
  }

  /** Drops what is held of a step that is taken, or of an asked shard that is done, and what no late result waits for. */
  stepTaken({ connections }: CoordinatorState): void {
    this.#held.clear();
    if (this.#held.keepsAdded) {
      const trials = [...connections.values()];
      this.#held.dropAdded((place) => trials.some((connection) => isTrial(connection, place)));
    }
    this.#plausibility.age();
  }
}

function numericsHashOf({ connections, records }: CoordinatorState, connection: ConnectionId): string | undefined {
  return records.get(connections.get(connection)?.workerId ?? '')?.numericsHash;
}

function sizeOf({ largest }: DecodedSum, { lossSum, count }: { lossSum: number; count: number }): SumSize {
  return { gradient: largest / count, loss: lossSum / count };
}
