/** A gradient that arrives in chunks: each is checked, and decoded into its place. */
import type { MessageOf } from '@lockstep/protocol';
import type { Aggregator, SumMemory } from '../aggregator.ts';
import type { Parameters } from '../parameters.ts';
import { chunkFault, chunkPlaceFault, gradientFault } from './gradient-check.ts';
import type { RunSetup } from './run-setup.ts';

export interface IncomingGradientOptions {
  readonly setup: RunSetup;
  readonly parameterServer: Parameters;
}

/** A gradient of which chunks may be missing. */
export class IncomingGradient {
  readonly header: MessageOf<'gradient'>;
  /** Where its values are written; undefined where the step is over, and they are not wanted. */
  readonly memory: SumMemory | undefined;
  readonly #options: IncomingGradientOptions;
  /** The largest absolute value so far, NaN where one is. */
  largest = 0;
  #at = 0;

  constructor(options: IncomingGradientOptions, header: MessageOf<'gradient'>, isWanted: boolean) {
    this.#options = options;
    this.header = header;
    this.memory = isWanted ? this.#aggregator.reserve() : undefined;
  }

  get isWhole(): boolean {
    return this.#at === this.#options.parameterServer.parameterCount;
  }

  /** Takes its first message or its next chunk; returns what is wrong with it, in words. */
  add(message: MessageOf<'gradient' | 'chunk'>): string | undefined {
    const { setup, parameterServer } = this.#options;
    const { parameterCount, checksum } = parameterServer;
    const at = this.#at;
    const to = Math.min(parameterCount, at + setup.limits.chunkBytes / 4);
    let fault: string | undefined;
    if (message.type === 'gradient') fault = gradientFault(message, setup, parameterCount, checksum);
    else if (!this.memory) fault = chunkPlaceFault(message, at);
    else fault = chunkFault(message, setup, { at, length: to - at }, checksum);
    if (fault !== undefined) return fault;
    if (this.memory) {
      this.largest = Math.max(this.largest, this.#aggregator.write(this.memory, { from: at, to }, message));
    }
    this.#at = to;
    return undefined;
  }

  /** Gives its memory back. */
  drop(): void {
    if (this.memory) this.#aggregator.release(this.memory);
  }

  get #aggregator(): Aggregator {
    return this.#options.parameterServer.aggregator;
  }
}
