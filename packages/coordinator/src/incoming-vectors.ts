/** Receives workers' vectors message by message; the rules are told of each vector once it is complete. */
import { type IncrementalHash, NumericsComparison, type SumMemory } from '@lockstep/compute';
import {
  announced,
  type FloatChunk,
  floatChunkFault,
  type Message,
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
import type { AskedRunOptions, RunOptions } from './run-options.ts';

/** A vector that is complete, or faulty. */
interface Received {
  readonly event: UntimedEvent;
  /** First message of a complete gradient. */
  readonly gradient?: MessageOf<'gradient'>;
  readonly arrival?: Arrival | undefined;
}

type Options = Pick<
  RunOptions | AskedRunOptions,
  'setup' | 'parameterServer' | 'referenceGradient' | 'numericsCheck' | 'newHash'
>;
type Incoming = IncomingGradient | IncomingNumerics;
type Receiver = VectorReceiver<VectorMessage, Incoming>;

export class IncomingVectors {
  readonly #options: Options;
  readonly #results: ResultReceiver;
  readonly #receivers = new Map<ConnectionId, Receiver>();
  /** Reserved memory into which gradients are read before their messages are checked. */
  readonly #reserved = new Map<ConnectionId, SumMemory>();

  constructor(options: Options, results: ResultReceiver) {
    this.#options = options;
    this.#results = results;
  }

  /** Returns memory for a gradient or chunk that is arriving; undefined if it is not wanted or does not fit. */
  memoryFor(
    state: CoordinatorState,
    connection: ConnectionId,
    type: Message['type'],
    byteLength: number,
  ): Uint8Array | undefined {
    if (byteLength % 4 !== 0) return undefined;
    if (type === 'chunk') return this.#receivers.get(connection)?.memoryFor(byteLength);
    if (type !== 'gradient' || state.connections.get(connection)?.phase !== 'ready') return undefined;
    const { aggregator } = this.#options.parameterServer;
    const memory = this.#reserved.get(connection) ?? aggregator.reserve();
    this.#reserved.set(connection, memory);
    return aggregator.memoryFor(memory, 0, byteLength);
  }

  #takeReserved(connection: ConnectionId): SumMemory | undefined {
    const memory = this.#reserved.get(connection);
    this.#reserved.delete(connection);
    return memory;
  }

  /** Takes the next message of a vector; returns undefined until the vector is complete. */
  receive(state: CoordinatorState, connection: ConnectionId, message: VectorMessage): Received | undefined {
    const receiver: Receiver = this.#receivers.get(connection) ?? new VectorReceiver();
    this.#receivers.set(connection, receiver);
    const { open } = receiver;
    if (message.type === 'chunk') {
      if (!open) return invalid(connection, 'chunk: expected a vector that it is part of, got none');
      return this.#arrived(state, connection, receiver.next(message));
    }
    if (open) return invalid(connection, `${message.type}: expected the other chunks of a ${open.type} first`);
    const sink =
      message.type === 'gradient'
        ? this.#results.begin(state, connection, message, () => this.#takeReserved(connection))
        : new IncomingNumerics(message, this.#options);
    return this.#arrived(state, connection, receiver.begin(sink, message));
  }

  /** Drops a connection's incomplete vector. */
  forget(connection: ConnectionId): void {
    this.#receivers.get(connection)?.drop()?.drop();
    this.#receivers.delete(connection);
    const memory = this.#takeReserved(connection);
    if (memory) this.#results.drop({ memory });
  }

  #arrived(state: CoordinatorState, connection: ConnectionId, arrived: VectorArrival<Incoming>): Received | undefined {
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
    const fault = numerics.comparison.fault();
    if (fault !== undefined) return { event: { type: 'numericsMismatch', connection, message: fault } };
    const hash = numerics.hash.digest('hex');
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

/** A worker's answer to the numerics check, hashed and compared chunk by chunk as it arrives and never kept whole. */
class IncomingNumerics implements VectorSink<VectorMessage> {
  readonly type = 'numericsResult';
  readonly result: NumericsResult;
  readonly comparison: NumericsComparison;
  readonly hash: IncrementalHash;
  readonly #options: Options;
  /** Number of values so far. */
  #length = 0;

  constructor({ gradient: _first, ...result }: MessageOf<'numericsResult'>, options: Options) {
    this.result = result;
    this.#options = options;
    this.comparison = new NumericsComparison(options.referenceGradient);
    this.hash = options.newHash();
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
    const { referenceGradient, setup } = this.#options;
    const expected = announced(referenceGradient.length, setup.limits.chunkBytes);
    return valuesFault({ values }, expected) ?? this.#take({ at: 0, bytes });
  }

  #take(chunk: FloatChunk): string | undefined {
    const { values } = this.result;
    const fault = values === undefined ? undefined : floatChunkFault(chunk, this.#length, values);
    if (fault !== undefined) return fault;
    this.comparison.add(chunk.bytes);
    this.hash.update(chunk.bytes);
    this.#length += chunk.bytes.length / 4;
    return undefined;
  }

  /** Does nothing: the check holds no memory of the aggregator. */
  drop(): void {}
}
