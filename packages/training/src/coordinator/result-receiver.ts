/** Looks at the numbers of results that arrive, and adds, holds or drops them as the rules say. */
import type { MessageOf } from '@lockstep/protocol';
import type { SumMemory } from '../aggregator.ts';
import type { Shard } from '../tree.ts';
import type { CheckedMessage, Command, CoordinatorEvent } from './events.ts';
import { type Arrival, HeldResults, type Looked, Plausibility, type SumSize } from './held-results.ts';
import { IncomingGradient, type IncomingGradientOptions } from './incoming-vectors.ts';
import type { InlineGradientMessage, InlineSum } from './inline-worker.ts';
import type { OwnSum } from './referee.ts';
import { isTrial } from './schedule.ts';
import type { ConnectionId, CoordinatorState } from './state.ts';

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

  /** A gradient that begins to arrive. Its shard may still change hands: until its step is over, all of it is kept. */
  begin(state: CoordinatorState, connection: ConnectionId, header: MessageOf<'gradient'>): IncomingGradient {
    const sender = state.connections.get(connection);
    const isLate = header.step < state.current.step;
    const isCompared = isTrial(sender, header) && this.#held.addedAt(header) !== undefined;
    const isWanted = sender?.phase === 'ready' && (!isLate || isCompared);
    return new IncomingGradient(this.#options, header, isWanted);
  }

  /** Looks at a gradient that is whole. */
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

  /** Looks at the sum of a worker of this process, which is the coordinator's own: only others are compared with it. */
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

  /** Looks at what the coordinator itself has computed. */
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

  /** Adds a result, which has just arrived or was held; the others of its shard are dropped. */
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

  /** Gives back the memory of a result that is neither added nor held. */
  drop({ memory }: Pick<Arrival, 'memory'>): void {
    this.#options.parameterServer.aggregator.release(memory);
  }

  /** Drops what was added and held of a step, which begins again, or with an asked shard of it. */
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

  /** Undefined if a number is not finite. */
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
