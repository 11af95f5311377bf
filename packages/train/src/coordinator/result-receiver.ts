/** Examines the values of arriving results, and adds, holds or drops them as the rules decide. */

import type { InlineSum, OwnSum, SumMemory } from '@lockstep/compute';
import type { MessageOf } from '@lockstep/protocol';
import type { CheckedMessage, Command, ConnectionId, CoordinatorEvent, CoordinatorState, Shard } from '@lockstep/rules';
import { isTrial } from '@lockstep/rules';
import { type Arrival, HeldResults, type Looked, Plausibility, type SumSize } from './held-results.ts';
import { IncomingGradient, type IncomingGradientOptions } from './incoming-vectors.ts';
import type { InlineGradientMessage } from './inline-worker.ts';

type Refereed = Extract<CoordinatorEvent, { type: 'refereed' }>;
type AddCommand = Extract<Command, { type: 'add' }>;

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

  /** Begins to receive a gradient. All values of an unfinished step are kept, since the shard may be reassigned. */
  begin(state: CoordinatorState, connection: ConnectionId, header: MessageOf<'gradient'>): IncomingGradient {
    const sender = state.connections.get(connection);
    const isLate = header.step < state.current.step;
    const isCompared = isTrial(sender, header) && this.#held.addedAt(header) !== undefined;
    const isWanted = sender?.phase === 'ready' && (!isLate || isCompared);
    return new IncomingGradient(this.#options, header, isWanted);
  }

  /** Examines a complete gradient. */
  finish(state: CoordinatorState, connection: ConnectionId, gradient: IncomingGradient): Looked<CheckedMessage> {
    const { header, memory, largest } = gradient;
    const { type, step, lo, n, computeMs, turnaroundMs } = header;
    const told = { type, step, lo, n, computeMs, turnaroundMs };
    if (!memory) return { told };
    const numericsHash = numericsHashOf(state, connection);
    const arrival = { connection, place: { step, lo, n }, memory, numericsHash };
    const sum = this.#options.parameterServer.aggregator.finish(memory, largest, header);
    if (!sum) return { told: { ...told, isFinite: false }, arrival };
    const size = sizeOf(largest, header);
    const isSuspect = this.#isVerifying && !this.#plausibility.isPlausible(size);
    const comparison = this.#held.compareLate(arrival);
    const agreesWith = this.#held.equalTo(arrival);
    const facts = { agreesWith, isSuspect, ...(comparison && { comparison }) };
    return { told: { ...told, ...facts }, arrival: { ...arrival, size } };
  }

  /** Examines the sum of a worker in this process. It is the coordinator's own: held results are compared with it. */
  finishInline(
    state: CoordinatorState,
    connection: ConnectionId,
    told: InlineGradientMessage,
    { sum, count }: { readonly sum: InlineSum; readonly count: number },
  ): Looked<CheckedMessage> {
    const { step, lo, n } = told;
    const place = { step, lo, n };
    const arrival = { connection, place, memory: sum, numericsHash: numericsHashOf(state, connection) };
    if (!this.#held.has(place)) return { told, arrival };
    if ('left' in sum) throw new Error('expected memory of its own for a result that is compared');
    const compared = { ...arrival, memory: sum, size: this.#sizeOf({ memory: sum, count }) };
    return { told: { ...told, agreesWith: this.#held.equalTo(compared) }, arrival: compared };
  }

  /** Examines a sum that the referee has computed. */
  finishOwn(step: number, shard: Shard, own: OwnSum): Looked<Pick<Refereed, 'isFinite' | 'agreesWith'>> {
    const { memory } = own;
    const { refereeHash: numericsHash = '' } = this.#options.setup;
    const size = this.#sizeOf(own);
    const arrival = { connection: 0, place: { step, ...shard }, memory, size, numericsHash };
    if (!size) return { told: { isFinite: false, agreesWith: [] }, arrival };
    return { told: { isFinite: true, agreesWith: this.#held.equalTo(arrival) }, arrival };
  }

  hold(arrival: Arrival): void {
    if ('left' in arrival.memory) throw new Error('expected memory of its own for a result that is held');
    arrival.isTaken = true;
    this.#held.hold({ ...arrival, memory: arrival.memory });
  }

  /** Adds an arrived or held result, and drops the held others of its shard. */
  add({ step, lo, n, from, isChecked, keep }: AddCommand, arrival: Arrival | undefined): void {
    const place = { step, lo, n };
    const held = this.#held.take(place, from);
    const result = held ?? arrival;
    if (result?.connection !== from)
      throw new Error(`microbatches ${lo} to ${lo + n - 1}: expected a result of connection ${from}`);
    const { aggregator } = this.#options.parameterServer;
    if (result === arrival) arrival.isTaken = true;
    const { memory, size } = result;
    if (isChecked && size) this.#plausibility.confirm(size);
    if (keep && !('left' in memory)) this.#held.keepAdded({ ...result, memory }, isChecked);
    aggregator.add(place, memory);
  }

  /** Releases the memory of a result that is neither added nor held. */
  drop({ memory }: Pick<Arrival, 'memory'>): void {
    this.#options.parameterServer.aggregator.release(memory);
  }

  /** Drops all added and held results of a step that begins again, or that begins with an asked shard. */
  restartStep(step: number, asked?: Shard): void {
    this.#held.clear();
    const [from, to] = asked ? [asked.lo, asked.lo + asked.n] : [0, Number.POSITIVE_INFINITY];
    this.#held.dropAdded((place) => place.step !== step || place.lo < from || place.lo >= to);
    this.#options.parameterServer.beginStep(step, asked);
  }

  /** Drops held results after a step or an asked shard, and the kept sums for which no late result is awaited. */
  stepTaken({ connections }: CoordinatorState): void {
    this.#held.clear();
    if (this.#held.keepsAdded) {
      const trials = [...connections.values()];
      this.#held.dropAdded((place) => trials.some((connection) => isTrial(connection, place)));
    }
    this.#plausibility.age();
  }

  /** Returns a sum's size; undefined if a number is not finite. */
  #sizeOf({ memory, count }: { readonly memory: SumMemory; readonly count: number }): SumSize | undefined {
    const { aggregator, parameterCount } = this.#options.parameterServer;
    const sum = aggregator.read(memory);
    return sum && sizeOf(sum.largest, { lossSum: sum.values[parameterCount]!, count });
  }
}

function numericsHashOf({ connections, records }: CoordinatorState, connection: ConnectionId): string {
  return records.get(connections.get(connection)?.workerId ?? '')?.numericsHash ?? '';
}

function sizeOf(largest: number, { lossSum, count }: { lossSum: number; count: number }): SumSize {
  return { gradient: largest / count, loss: lossSum / count };
}
