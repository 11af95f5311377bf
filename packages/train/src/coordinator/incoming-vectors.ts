/** Receives workers' vectors message by message; the rules are told of each vector once it is complete. */
import { type IncrementalHash, type NewHash, NumericsComparison, type ReferenceGradient } from '@lockstep/compute';
import {
  announced,
  type FloatChunk,
  floatChunkFault,
  type MessageOf,
  type VectorArrival,
  VectorReceiver,
  type VectorSink,
} from '@lockstep/protocol';
import type { ConnectionId, CoordinatorState, UntimedEvent } from '@lockstep/rules';
import {
  type Arrival,
  type IncomingGradient,
  type ResultReceiver,
  type VectorMessage,
  valuesFault,
} from './results.ts';
import type { RunOptions } from './run-options.ts';

/** A vector that is complete, or faulty. */
interface Received {
  readonly event: UntimedEvent;
  /** First message of a complete gradient. */
  readonly gradient?: MessageOf<'gradient'>;
  /** The result that the rules decide about. */
  readonly arrival?: Arrival | undefined;
}

type Options = Pick<RunOptions, 'setup' | 'referenceGradient' | 'numericsCheck' | 'newHash'>;

export class IncomingVectors {
  readonly #options: Options;
  readonly #results: ResultReceiver;
  readonly #receivers = new Map<ConnectionId, VectorReceiver<VectorMessage, IncomingGradient | IncomingNumerics>>();

  constructor(options: Options, results: ResultReceiver) {
    this.#options = options;
    this.#results = results;
  }

  /** Takes the next message of a vector; returns undefined until the vector is complete. */
  receive(state: CoordinatorState, connection: ConnectionId, message: VectorMessage): Received | undefined {
    const receiver = this.#receiverOf(connection);
    const { open } = receiver;
    if (message.type === 'chunk') {
      if (!open) return invalid(connection, 'chunk: expected a vector that it is part of, got none');
      return this.#arrived(state, connection, receiver.next(message));
    }
    if (open) return invalid(connection, `${message.type}: expected the other chunks of a ${open.type} first`);
    return this.#arrived(state, connection, receiver.begin(this.#sinkFor(state, connection, message), message));
  }

  /** Drops a connection's incomplete vector. */
  forget(connection: ConnectionId): void {
    this.#receivers.get(connection)?.drop()?.drop();
    this.#receivers.delete(connection);
  }

  #receiverOf(connection: ConnectionId): VectorReceiver<VectorMessage, IncomingGradient | IncomingNumerics> {
    const known = this.#receivers.get(connection);
    if (known) return known;
    const receiver = new VectorReceiver<VectorMessage, IncomingGradient | IncomingNumerics>();
    this.#receivers.set(connection, receiver);
    return receiver;
  }

  #sinkFor(
    state: CoordinatorState,
    connection: ConnectionId,
    header: MessageOf<'gradient' | 'numericsResult'>,
  ): IncomingGradient | IncomingNumerics {
    if (header.type === 'gradient') return this.#results.begin(state, connection, header);
    const { referenceGradient: reference, setup, newHash } = this.#options;
    return new IncomingNumerics(header, { reference, chunkBytes: setup.limits.chunkBytes, newHash });
  }

  #arrived(
    state: CoordinatorState,
    connection: ConnectionId,
    arrived: VectorArrival<IncomingGradient | IncomingNumerics>,
  ): Received | undefined {
    if (!arrived) return undefined;
    const { sink, fault } = arrived;
    if (fault !== undefined) {
      sink.drop();
      return invalid(connection, fault);
    }
    if (sink.type === 'numericsResult') return this.#finishNumerics(connection, sink);
    const { told, arrival } = this.#results.finish(state, connection, sink);
    const event = { type: 'message', connection, message: told } as const;
    const hasSum = told.type === 'gradient' && told.isFinite !== false;
    return hasSum ? { event, arrival, gradient: sink.header } : { event, arrival };
  }

  #finishNumerics(connection: ConnectionId, numerics: IncomingNumerics): Received {
    const { numericsCheck } = this.#options;
    const { hash: claimed, computeMs } = numerics.result;
    const fault = numerics.fault();
    if (fault !== undefined) return { event: { type: 'numericsMismatch', connection, message: fault } };
    const hash = numerics.hash();
    if (hash !== claimed) return invalid(connection, `numerics check: expected hash ${hash}, got ${claimed}`);
    const samplesPerMs = computeMs > 0 ? numericsCheck.count / computeMs : 0;
    const message = { type: 'numericsResult', hash, samplesPerMs, computeMs } as const;
    return { event: { type: 'message', connection, message } };
  }
}

function invalid(connection: ConnectionId, message: string): Received {
  return { event: { type: 'invalid', connection, closeCode: 1002, message } };
}

type NumericsResult = Omit<MessageOf<'numericsResult'>, 'gradient'>;

interface IncomingNumericsOptions {
  /** The coordinator's own gradient. */
  readonly reference: ReferenceGradient;
  readonly chunkBytes: number;
  readonly newHash: NewHash;
}

/** A worker's answer to the numerics check, hashed and compared chunk by chunk as it arrives and never kept whole. */
class IncomingNumerics implements VectorSink<VectorMessage> {
  readonly type = 'numericsResult';
  readonly result: NumericsResult;
  readonly #options: IncomingNumericsOptions;
  readonly #comparison: NumericsComparison;
  readonly #hash: IncrementalHash;
  /** Number of values so far. */
  #length = 0;

  constructor({ gradient: _first, ...result }: MessageOf<'numericsResult'>, options: IncomingNumericsOptions) {
    this.result = result;
    this.#options = options;
    this.#comparison = new NumericsComparison(options.reference);
    this.#hash = options.newHash();
  }

  get isWhole(): boolean {
    return this.result.values === undefined || this.#length === this.result.values;
  }

  /** Takes the first message or the next chunk; returns its fault, or undefined. */
  add(message: VectorMessage): string | undefined {
    if (message.type === 'gradient') throw new Error('expected a message of a numerics result');
    const fault = message.type === 'chunk' ? this.#take(message) : this.#begin(message);
    return fault === undefined ? undefined : `numericsResult: ${fault}`;
  }

  #begin({ values, gradient: bytes }: MessageOf<'numericsResult'>): string | undefined {
    const { reference, chunkBytes } = this.#options;
    return valuesFault({ values }, announced(reference.length, chunkBytes)) ?? this.#take({ at: 0, bytes });
  }

  #take(chunk: FloatChunk): string | undefined {
    const { values } = this.result;
    const fault = values === undefined ? undefined : floatChunkFault(chunk, this.#length, values);
    if (fault !== undefined) return fault;
    this.#comparison.add(chunk.bytes);
    this.#hash.update(chunk.bytes);
    this.#length += chunk.bytes.length / 4;
    return undefined;
  }

  /** Returns the fault of the whole gradient as a sentence; undefined if it differs only by rounding. */
  fault(): string | undefined {
    return this.#comparison.fault();
  }

  /** Returns the hash of the whole gradient; call it once. */
  hash(): string {
    return this.#hash.digest('hex');
  }

  /** Does nothing: the check holds no memory of the aggregator. */
  drop(): void {}
}
