/** Takes in the numbers of results: checks them, adds them to the step's sum, or holds them until they are compared. */
import type { Checksum, MessageOf } from '@lockstep/protocol';
import type { DecodedSum } from '../aggregator.ts';
import type { ParameterServer } from '../parameter-server.ts';
import type { Shard } from '../tree.ts';
import type { ShardGradient } from '../worker/compute.ts';
import type { CheckedMessage, CoordinatorEvent } from './events.ts';
import { gradientFault } from './gradient-check.ts';
import { HeldResults } from './held-results.ts';
import { Plausibility, type SumSize } from './plausibility.ts';
import { dispositionOf } from './results.ts';
import type { ConnectionId, CoordinatorState, RunSetup } from './state.ts';

interface ResultReceiverOptions {
  readonly setup: RunSetup;
  readonly parameterServer: ParameterServer;
  readonly checksum: Checksum;
}

type Refereed = Extract<CoordinatorEvent, { type: 'refereed' }>;

export class ResultReceiver {
  readonly #options: ResultReceiverOptions;
  readonly #held: HeldResults;
  readonly #plausibility = new Plausibility();
  readonly #isVerifying: boolean;

  constructor(options: ResultReceiverOptions) {
    this.#options = options;
    this.#held = new HeldResults(options.setup.gradients !== undefined);
    this.#isVerifying = (options.setup.verifyRate ?? 0) > 0;
  }

  /** What is wrong with the message of a gradient, or undefined. */
  faultOf(gradient: MessageOf<'gradient'>): string | undefined {
    const { setup, parameterServer, checksum } = this.#options;
    return gradientFault(gradient, setup, parameterServer.parameterCount, checksum);
  }

  /** Adds, holds or ignores a gradient that has no fault; returns what the rules are told of it. */
  receive(state: CoordinatorState, connection: ConnectionId, gradient: MessageOf<'gradient'>): CheckedMessage {
    const { type, step, lo, n, computeMs, turnaroundMs } = gradient;
    const told = { type, step, lo, n, computeMs, turnaroundMs };
    const disposition = dispositionOf(state, connection, gradient);
    if (disposition === 'ignore') return told;
    const { aggregator } = this.#options.parameterServer;
    const sum = aggregator.decode(gradient);
    if (!sum) {
      const message = `the gradient of microbatches ${lo} to ${lo + n - 1} is not finite`;
      return { type: 'taskError', step, lo, n, code: 'non-finite', message };
    }
    const size = sizeOf(sum, gradient);
    const isSuspect = this.#isVerifying && !this.#plausibility.isPlausible(size);
    if (disposition === 'add' && !isSuspect) {
      aggregator.add({ lo, n }, sum.values);
      return told;
    }
    const workerId = state.connections.get(connection)?.workerId ?? '';
    const numericsHash = state.records.get(workerId)?.numericsHash ?? '';
    const agreesWith = this.#held.add({ lo, n }, { connection, values: sum.values.slice(), size, numericsHash });
    return { ...told, agreesWith, isSuspect };
  }

  /** Holds what the coordinator itself has computed; returns what the rules are told of it. */
  holdOwn(shard: Shard, result: ShardGradient): Pick<Refereed, 'isFinite' | 'agreesWith'> {
    const { parameterServer, setup } = this.#options;
    const { gradient, lossSum, correct } = result;
    const sum = parameterServer.aggregator.decode({ bytes: gradient, lossSum, correct });
    if (!sum) return { isFinite: false, agreesWith: [] };
    const own = { connection: 0, values: sum.values.slice(), size: sizeOf(sum, result) };
    const agreesWith = this.#held.add(shard, { ...own, numericsHash: setup.refereeHash ?? '' });
    return { isFinite: true, agreesWith };
  }

  /** Adds a result that was held and found to be right; the others of its shard are dropped. */
  addHeld({ lo, n }: Shard, from: ConnectionId): void {
    const result = this.#held.take({ lo, n }, from);
    if (!result) throw new Error(`microbatches ${lo} to ${lo + n - 1}: expected a held result of connection ${from}`);
    this.#plausibility.confirm(result.size);
    this.#options.parameterServer.aggregator.add({ lo, n }, result.values);
  }

  /** Drops what was added and held of a step, which begins anew. */
  restartStep(step: number): void {
    this.#held.clear();
    this.#options.parameterServer.aggregator.begin(step);
  }

  /** Drops what is held of a step that is taken. */
  stepTaken(): void {
    this.#held.clear();
    this.#plausibility.age();
  }
}

function sizeOf({ largest }: DecodedSum, { lossSum, count }: { lossSum: number; count: number }): SumSize {
  return { gradient: largest / count, loss: lossSum / count };
}
