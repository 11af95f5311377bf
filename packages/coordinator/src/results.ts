/** Examines the values of arriving results, and adds, holds, compares or drops them as the rules decide. */
import type { Aggregator, InlineSum, OwnSum, SumMemory } from '@lockstep/compute';
import { sizeOfField } from '@lockstep/data';
import {
  announced,
  bytesOf,
  type Checksum,
  chunkChecksum,
  gradientChecksum,
  type MessageOf,
  type VectorSink,
  vectorFault,
} from '@lockstep/protocol';
import {
  type CheckedMessage,
  type Command,
  type ConnectionId,
  type CoordinatorEvent,
  type CoordinatorState,
  isTrial,
  type LateComparison,
  type RunSetup,
  type Shard,
  samplesInShard,
  shardKey,
  shardText,
} from '@lockstep/rules';
import type { InlineGradientMessage } from './inline-worker.ts';
import type { AskedRunOptions } from './run-options.ts';

type Refereed = Extract<CoordinatorEvent, { type: 'refereed' }>;

type AddCommand = Extract<Command, { type: 'add' }>;
type Options = Pick<AskedRunOptions, 'setup' | 'parameterServer'>;

export class ResultReceiver {
  readonly #options: Options;
  readonly #held: HeldResults;
  readonly #plausibility = new Plausibility();
  readonly #isVerifying: boolean;

  constructor(options: Options) {
    this.#options = options;
    const { parameterServer, setup } = options;
    this.#held = new HeldResults(parameterServer.aggregator, (place) => answersIn(place, setup));
    this.#isVerifying = (options.setup.verifyRate ?? 0) > 0;
  }

  /**
   * Begins to receive a gradient. All values of an unfinished step are kept, since the shard may be reassigned.
   * @param takeReserved returns the memory that was reserved for it, if any
   */
  begin(
    state: CoordinatorState,
    connection: ConnectionId,
    header: MessageOf<'gradient'>,
    takeReserved: () => SumMemory | undefined,
  ): IncomingGradient {
    const sender = state.connections.get(connection);
    const isLate = header.step < state.current.step;
    const isCompared = isTrial(sender, header) && this.#held.addedAt(header) !== undefined;
    const isWanted = sender?.phase === 'ready' && (!isLate || isCompared);
    const reserve = (): SumMemory => takeReserved() ?? this.#options.parameterServer.aggregator.reserve();
    return new IncomingGradient(this.#options, header, isWanted ? reserve() : undefined);
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
    sum: InlineSum,
  ): Looked<CheckedMessage> {
    const { step, lo, n } = told;
    const place = { step, lo, n };
    const arrival = { connection, place, memory: sum, numericsHash: numericsHashOf(state, connection) };
    if (!this.#held.has(place)) return { told, arrival };
    if ('left' in sum) throw new Error('expected memory of its own for a result that is compared');
    const count = samplesInShard(this.#options.setup.plan, step, lo, n);
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

  /**
   * Adds an arrived or held result, and drops the held others of its shard.
   * @param record called with the sum, which must be one vector
   */
  add(
    { step, lo, n, from, isChecked, keep }: AddCommand,
    arrival: Arrival | undefined,
    record?: (sum: Float32Array) => void,
  ): void {
    const place = { step, lo, n };
    const held = this.#held.take(place, from);
    const result = held ?? arrival;
    if (result?.connection !== from)
      throw new Error(`${shardText({ lo, n })}: expected a result of connection ${from}`);
    const { aggregator } = this.#options.parameterServer;
    if (result === arrival) arrival.isTaken = true;
    const { memory, size } = result;
    if (isChecked && size) this.#plausibility.confirm(size);
    if (!('left' in memory)) {
      if (keep) this.#held.keepAdded({ ...result, memory }, isChecked);
      record?.(aggregator.valuesOf(memory));
    } else if (record) throw new Error('expected memory of its own for a result that is recorded');
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

  /** Drops all held results and kept sums, because the run goes back. */
  clear(): void {
    this.#held.clear();
    this.#held.dropAdded(() => false);
  }

  /** Drops held results after a step or an asked shard, and the kept sums for which no late result is awaited. */
  stepTaken({ connections }: CoordinatorState): void {
    this.#held.clear();
    this.#held.dropAdded((place) => [...connections.values()].some((connection) => isTrial(connection, place)));
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

/** Size of a shard's sums per sample, so that shards of different sizes can be compared. */
interface SumSize {
  /** The largest absolute value of the gradient. */
  readonly gradient: number;
  readonly loss: number;
}

/** A result may be this many times as large as the largest confirmed one. */
const factor = 8;

/** Gradients shrink while a run learns, so that an old bound says little. */
const decayPerStep = 0.99;

/** Learns only from results that a second computation has confirmed, so that a liar cannot raise the bound. */
export class Plausibility {
  #bound: SumSize = { gradient: 0, loss: 0 };

  /** Returns false for every result until one is confirmed. */
  isPlausible({ gradient, loss }: SumSize): boolean {
    return gradient <= factor * this.#bound.gradient && Math.abs(loss) <= factor * this.#bound.loss;
  }

  confirm({ gradient, loss }: SumSize): void {
    const bound = this.#bound;
    this.#bound = { gradient: Math.max(bound.gradient, gradient), loss: Math.max(bound.loss, Math.abs(loss)) };
  }

  /** Decays the bound; call it after each step. */
  age(): void {
    this.#bound = { gradient: decayPerStep * this.#bound.gradient, loss: decayPerStep * this.#bound.loss };
  }
}

/** A result that waits for the rules to decide about it. */
export interface ArrivedResult {
  /** 0 for the coordinator's own. */
  readonly connection: ConnectionId;
  readonly place: Place;
  /** [parameters + 2]: gradient, sum of losses, correct answers; owned by the holder. */
  readonly memory: SumMemory;
  /** Undefined for a non-finite result, and for one that is not compared with anything. */
  readonly size?: SumSize | undefined;
  /** Numerics hash of the mode that computed it. */
  readonly numericsHash: string;
}

/** A result that the rules decide about; the sum of a run's only worker may be in vectors of its own. */
export interface Arrival extends Omit<ArrivedResult, 'memory'> {
  readonly memory: InlineSum;
  /** Whether the result was added or is held; otherwise its memory is released. */
  isTaken?: boolean;
}

/** A result's message for the rules, and the result itself, if it has numbers to decide about. */
interface Looked<Told> {
  readonly told: Told;
  readonly arrival?: Arrival;
}

type Place = Shard & { readonly step: number };

interface AddedSum {
  readonly place: Place;
  readonly numericsHash: string;
  readonly values: Float32Array;
  /** Whether the sum was compared, or is the coordinator's own. */
  readonly isChecked: boolean;
}

/** Maximum bytes of kept sums; a single sum may always be kept. */
const mostAddedBytes = 64 * 1024 * 1024;

/** Largest difference that another order of additions explains, relative to the gradient's largest value. */
const tolerance = 1e-3;

export class HeldResults {
  readonly #held = new Map<string, ArrivedResult[]>();
  /** Added sums by step and shard, each kept until the workers on trial with that shard have answered or left. */
  readonly #added = new Map<string, AddedSum>();
  readonly #memory: Pick<Aggregator, 'valuesOf' | 'release'>;
  readonly #answersIn: (place: Place) => number;

  /** @param answersIn returns the number of answers in a shard, correct or not */
  constructor(memory: Pick<Aggregator, 'valuesOf' | 'release'>, answersIn: (place: Place) => number) {
    this.#memory = memory;
    this.#answersIn = answersIn;
  }

  /** Returns the connections whose held result of the same shard equals this one. */
  equalTo(result: ArrivedResult): ConnectionId[] {
    const held = this.#held.get(placeKey(result.place)) ?? [];
    const isSame = ({ memory, numericsHash }: ArrivedResult): boolean =>
      this.#isSame(result, this.#memory.valuesOf(memory), numericsHash);
    return held.filter(isSame).map(({ connection }) => connection);
  }

  has(place: Place): boolean {
    return this.#held.has(placeKey(place));
  }

  hold(result: ArrivedResult): void {
    const key = placeKey(result.place);
    this.#held.set(key, [...(this.#held.get(key) ?? []), result]);
  }

  /** Returns a connection's held result, whose memory the caller then owns, and drops the shard's other results. */
  take(place: Place, connection: ConnectionId): ArrivedResult | undefined {
    const key = placeKey(place);
    const results = this.#held.get(key) ?? [];
    const result = results.find((held) => held.connection === connection);
    this.#drop(results.filter((held) => held !== result));
    this.#held.delete(key);
    return result;
  }

  /**
   * Keeps a copy of a sum that is about to be added, to compare late results of the same shard with. If the memory
   * limit is reached the sum is not kept, and the shard's late workers get another trial.
   */
  keepAdded({ place, memory, numericsHash }: ArrivedResult, isChecked: boolean): void {
    const values = this.#memory.valuesOf(memory);
    const keptBytes = [...this.#added.values()].reduce((bytes, added) => bytes + added.values.byteLength, 0);
    if (keptBytes > 0 && keptBytes + values.byteLength > mostAddedBytes) return;
    this.#added.set(placeKey(place), { place, numericsHash, values: values.slice(), isChecked });
  }

  /** Returns the sum that was added for a shard, if it is kept. */
  addedAt(place: Place): AddedSum | undefined {
    return this.#added.get(placeKey(place));
  }

  /** Compares a late result with the sum that was added; undefined if that sum is not kept. */
  compareLate({ place, memory, numericsHash }: ArrivedResult): LateComparison | undefined {
    const added = this.addedAt(place);
    if (!added) return undefined;
    const isSame = this.#isSame({ place, memory, numericsHash }, added.values, added.numericsHash);
    return { isSame, isChecked: added.isChecked };
  }

  /** Drops the sums whose late results are no longer awaited. */
  dropAdded(isAwaited: (place: Place) => boolean): void {
    for (const [key, { place }] of this.#added) if (!isAwaited(place)) this.#added.delete(key);
  }

  clear(): void {
    for (const results of this.#held.values()) this.#drop(results);
    this.#held.clear();
  }

  #drop(results: readonly ArrivedResult[]): void {
    for (const { memory } of results) this.#memory.release(memory);
  }

  /** Compares a result with the values of another computer for the same shard. */
  #isSame(
    { place, memory, numericsHash }: Pick<ArrivedResult, 'place' | 'memory' | 'numericsHash'>,
    others: Float32Array,
    othersHash: string,
  ): boolean {
    const values = this.#memory.valuesOf(memory);
    return numericsHash === othersHash
      ? equalBits(others, values)
      : nearlyEqual(others, values, this.#answersIn(place));
  }
}

function placeKey({ step, ...shard }: Place): string {
  return `${step} ${shardKey(shard)}`;
}

function equalBits(one: Float32Array, other: Float32Array): boolean {
  const [left, right] = [wordsOf(one), wordsOf(other)];
  if (left.length !== right.length) return false;
  // A plain loop: a function call for each word is an order of magnitude slower.
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

function wordsOf({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length);
}

/**
 * Returns whether gradient, loss and correct answers agree within tolerance. Rounding may decide an answer whose best two
 * classes or tokens are nearly equal: one in a shard, or more among many answers.
 */
function nearlyEqual(one: Float32Array, other: Float32Array, answers: number): boolean {
  const size = one.length - 2;
  let [largest, worst] = [0, 0];
  for (let index = 0; index < size; index++) {
    largest = Math.max(largest, Math.abs(one[index]!));
    worst = Math.max(worst, Math.abs(one[index]! - other[index]!));
  }
  const loss = Math.abs(one[size]! - other[size]!) <= tolerance * Math.max(1, Math.abs(one[size]!));
  const correct = Math.abs(one[size + 1]! - other[size + 1]!) <= Math.max(1, tolerance * answers);
  return worst <= tolerance * largest && loss && correct;
}

/** A gradient that arrives in chunks; each chunk is checked and decoded into its place. */
export class IncomingGradient implements VectorSink<VectorMessage> {
  readonly type = 'gradient';
  readonly header: MessageOf<'gradient'>;
  /** Memory for the values; undefined if they are not wanted, for example because the step is over. */
  readonly memory: SumMemory | undefined;
  readonly #options: Options;
  /** Largest absolute value so far; NaN if any value is NaN. */
  largest = 0;
  #at = 0;

  constructor(options: Options, header: MessageOf<'gradient'>, memory: SumMemory | undefined) {
    this.#options = options;
    this.header = header;
    this.memory = memory;
  }

  get isWhole(): boolean {
    return this.#at === this.#options.parameterServer.parameterCount;
  }

  memoryFor(byteLength: number): Uint8Array | undefined {
    return this.memory && this.#aggregator.memoryFor(this.memory, this.#at, byteLength);
  }

  /** Takes the first message or the next chunk; returns its fault, or undefined. */
  add(message: VectorMessage): string | undefined {
    const { setup, parameterServer } = this.#options;
    const { parameterCount } = parameterServer;
    const { memory } = this;
    const at = this.#at;
    const to = Math.min(parameterCount, at + setup.limits.chunkBytes / 4);
    const part = this.#outside(message.type === 'chunk' ? message : this.header);
    const isPlain = part.encoding === undefined;
    const write = (): void => {
      if (memory) this.largest = Math.max(this.largest, this.#aggregator.write(memory, { from: at, to }, part));
    };
    // Kernels read only their own memory. A checksum is compared last, so plain values can be copied there first.
    const checksum = (bytes: Uint8Array): number => {
      if (!isPlain || !memory) return parameterServer.checksum(bytes);
      write();
      return parameterServer.checksum(bytesOf(this.#aggregator.valuesOf(memory).subarray(at, to)));
    };
    let fault: string | undefined;
    if (part.type === 'gradient') fault = gradientFault(part, setup, parameterCount, checksum);
    else if (!memory) fault = chunkPlaceFault(part, at);
    else fault = chunkFault(part, setup, { at, length: to - at }, checksum);
    if (fault !== undefined) return fault;
    if (!isPlain) write();
    this.#at = to;
    return undefined;
  }

  /** Copies encoded values out of the memory into which they will be decoded. */
  #outside<Part extends MessageOf<'gradient' | 'chunk'>>(part: Part): Part {
    if (!this.memory || part.encoding === undefined) return part;
    const { buffer } = this.#aggregator.valuesOf(this.memory);
    return part.bytes.buffer === buffer ? { ...part, bytes: part.bytes.slice() } : part;
  }

  drop(): void {
    if (this.memory) this.#aggregator.release(this.memory);
  }

  get #aggregator(): Aggregator {
    return this.#options.parameterServer.aggregator;
  }
}

export type VectorMessage = MessageOf<'gradient' | 'numericsResult' | 'chunk'>;

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
export function valuesFault(
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

function countFault({ step, lo, n, count, correct }: GradientMessage, setup: RunSetup): string | undefined {
  const expected = samplesInShard(setup.plan, step, lo, n);
  if (count !== expected) return `expected ${expected} samples, got ${count}`;
  const answers = answersIn({ step, lo, n }, setup);
  return correct <= answers ? undefined : `expected at most ${answers} correct answers, got ${correct}`;
}

/** Returns the number of answers in a shard: one for each sample, or for each position of a text. */
function answersIn({ step, lo, n }: Place, { plan, format: { sampleField, targetField } }: RunSetup): number {
  return samplesInShard(plan, step, lo, n) * (targetField.role === 'next' ? sizeOfField(sampleField) - 1 : 1);
}

function checksumFault({ checksum }: { readonly checksum?: number }, expected: number): string | undefined {
  return checksum === expected ? undefined : `expected checksum ${expected}, got ${checksum ?? 'none'}`;
}
