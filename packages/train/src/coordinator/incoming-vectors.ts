/** Receives workers' vectors message by message; the rules are told of each vector once it is complete. */

import type { Aggregator, IncrementalHash, NewHash, Parameters, SumMemory } from '@lockstep/compute';
import { NumericsComparison, type ReferenceGradient } from '@lockstep/compute';
import {
  announced,
  type Checksum,
  chunkChecksum,
  type FloatChunk,
  floatChunkFault,
  gradientChecksum,
  type MessageOf,
  type VectorArrival,
  VectorReceiver,
  type VectorSink,
  vectorFault,
} from '@lockstep/protocol';
import type { CheckedMessage, ConnectionId, CoordinatorState, RunSetup, UntimedEvent } from '@lockstep/rules';
import { samplesInShard } from '@lockstep/rules';
import type { Arrival, Looked } from './results.ts';
import type { RunOptions } from './run-options.ts';

type VectorMessage = MessageOf<'gradient' | 'numericsResult' | 'chunk'>;

/** A vector that is complete, or faulty. */
export interface Received {
  readonly event: UntimedEvent;
  /** First message of a complete gradient. */
  readonly gradient?: MessageOf<'gradient'>;
  /** The result that the rules decide about. */
  readonly arrival?: Arrival | undefined;
}

type Options = Pick<RunOptions, 'setup' | 'referenceGradient' | 'numericsCheck' | 'newHash'>;

/** Receives the values of gradients. */
interface Results {
  begin(state: CoordinatorState, connection: ConnectionId, header: MessageOf<'gradient'>): IncomingGradient;
  finish(state: CoordinatorState, connection: ConnectionId, gradient: IncomingGradient): Looked<CheckedMessage>;
}

export class IncomingVectors {
  readonly #options: Options;
  readonly #results: Results;
  readonly #receivers = new Map<ConnectionId, VectorReceiver<VectorMessage, IncomingGradient | IncomingNumerics>>();

  constructor(options: Options, results: Results) {
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

export interface IncomingGradientOptions {
  readonly setup: RunSetup;
  readonly parameterServer: Parameters;
}

/** A gradient that arrives in chunks; each chunk is checked and decoded into its place. */
export class IncomingGradient implements VectorSink<VectorMessage> {
  readonly type = 'gradient';
  readonly header: MessageOf<'gradient'>;
  /** Memory for the values; undefined if they are not wanted, for example because the step is over. */
  readonly memory: SumMemory | undefined;
  readonly #options: IncomingGradientOptions;
  /** Largest absolute value so far; NaN if any value is NaN. */
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

  /** Takes the first message or the next chunk; returns its fault, or undefined. */
  add(message: VectorMessage): string | undefined {
    const { setup, parameterServer } = this.#options;
    const { parameterCount, checksum } = parameterServer;
    const at = this.#at;
    const to = Math.min(parameterCount, at + setup.limits.chunkBytes / 4);
    const part = message.type === 'chunk' ? message : this.header;
    let fault: string | undefined;
    if (part.type === 'gradient') fault = gradientFault(part, setup, parameterCount, checksum);
    else if (!this.memory) fault = chunkPlaceFault(part, at);
    else fault = chunkFault(part, setup, { at, length: to - at }, checksum);
    if (fault !== undefined) return fault;
    if (this.memory) {
      this.largest = Math.max(this.largest, this.#aggregator.write(this.memory, { from: at, to }, part));
    }
    this.#at = to;
    return undefined;
  }

  /** Releases the memory. */
  drop(): void {
    if (this.memory) this.#aggregator.release(this.memory);
  }

  get #aggregator(): Aggregator {
    return this.#options.parameterServer.aggregator;
  }
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

type GradientMessage = MessageOf<'gradient'>;

/** Returns the fault of a gradient's first message as `gradient: expected …, got …`; undefined if it has none. */
export function gradientFault(
  message: GradientMessage,
  setup: RunSetup,
  parameterCount: number,
  checksum?: Checksum,
): string | undefined {
  const { chunkBytes } = setup.limits;
  const fault =
    placeFault(message, setup) ??
    valuesFault(message, announced(parameterCount, chunkBytes)) ??
    bytesFault(message, setup, Math.min(parameterCount, chunkBytes / 4)) ??
    countFault(message, setup) ??
    checksumFault(message, gradientChecksum(message, checksum));
  return fault === undefined ? undefined : `gradient: ${fault}`;
}

/** Returns the fault of the chunk that should hold the values `[at, at + length)`; undefined if it has none. */
export function chunkFault(
  message: MessageOf<'chunk'>,
  setup: RunSetup,
  { at, length }: { readonly at: number; readonly length: number },
  checksum?: Checksum,
): string | undefined {
  const fault =
    chunkPlaceFault(message, at) ??
    bytesFault(message, setup, length) ??
    checksumFault(message, chunkChecksum(message, checksum));
  return fault === undefined ? undefined : `chunk: ${fault}`;
}

/** Returns the fault of a chunk that does not start at the expected value `at`; undefined if it does. */
function chunkPlaceFault(message: MessageOf<'chunk'>, at: number): string | undefined {
  return message.at === at ? undefined : `expected the values from ${at} on, got those from ${message.at} on`;
}

function placeFault({ step, lo, n }: GradientMessage, { plan }: RunSetup): string | undefined {
  if (step >= plan.steps) return `expected a step below ${plan.steps}, got ${step}`;
  if (lo + n <= plan.microbatches) return undefined;
  return `expected microbatches below ${plan.microbatches}, got ${lo} to ${lo + n - 1}`;
}

/** Returns the fault of the number of values that a vector's first message announces; undefined if it is right. */
function valuesFault(
  { values }: { readonly values?: number | undefined },
  expected: { readonly values?: number | undefined },
): string | undefined {
  if (values === expected.values) return undefined;
  const phrase = (count: number | undefined): string =>
    count === undefined ? 'all values in one message' : `${count} values in chunks`;
  return `expected ${phrase(expected.values)}, got ${phrase(values)}`;
}

function bytesFault(
  { bytes, encoding }: Pick<GradientMessage, 'bytes' | 'encoding'>,
  { plan }: RunSetup,
  length: number,
): string | undefined {
  if (encoding === undefined) {
    const expected = length * 4;
    return bytes.length === expected ? undefined : `expected ${expected} bytes, got ${bytes.length}`;
  }
  if (encoding === 'sparse' || plan.halfUnit !== undefined) return vectorFault(bytes, encoding, length);
  return `expected values that are not rounded, got ${encoding}`;
}

function countFault({ step, lo, n, count }: GradientMessage, { plan }: RunSetup): string | undefined {
  const expected = samplesInShard(plan, step, lo, n);
  return count === expected ? undefined : `expected ${expected} samples, got ${count}`;
}

function checksumFault({ checksum }: { readonly checksum?: number }, expected: number): string | undefined {
  return checksum === expected ? undefined : `expected checksum ${expected}, got ${checksum ?? 'none'}`;
}
