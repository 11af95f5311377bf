/** A worker's side of one connection: says hello, answers a numerics check, then answers tasks; notices silence. */
import type { WeightsMessage } from '@lockstep/compute';
import type { SampleBatch } from '@lockstep/data';
import {
  type Clock,
  type Closing,
  type CoordinatorMessage,
  errorText,
  type FloatChunk,
  isSamePlace,
  type Message,
  type MessageOf,
  protocolVersion,
  VectorAssembly,
  VectorReceiver,
  type WorkerKind,
  type WorkerTransport,
} from '@lockstep/protocol';
import { type DataFormat, decodeBatch } from '@lockstep/rules';
import {
  type AnswerOptions,
  createNumericsAnswerer,
  createTaskAnswerer,
  FaultInjector,
  type NumericsAnswerer,
  SampleCache,
  type TaskAnswerer,
  TaskQueue,
} from './answers.ts';

interface WorkerIdentity {
  readonly kind: WorkerKind;
  readonly name: string;
  readonly token?: string | undefined;
  /** From the welcome of an earlier connection. */
  readonly resumeKey?: string | undefined;
}

export type SessionEvent =
  | { readonly type: 'welcomed'; readonly id: string; readonly resumeKey: string }
  | { readonly type: 'ready' }
  | { readonly type: 'computed'; readonly step: number; readonly count: number; readonly computeMs: number };

/** Status that a worker reports. */
export type WorkerStatus = Omit<MessageOf<'status'>, 'type'>;

export interface SessionOptions extends AnswerOptions {
  readonly transport: WorkerTransport;
  readonly identity: WorkerIdentity;
  /** Most bytes of samples to cache, so that each sample is sent only once; 0 by default. */
  readonly sampleCacheBytes?: number;
  readonly onEvent?: (event: SessionEvent) => void;
  /** Receives the whole welcome, including its secret resume key, before the compute is opened. */
  readonly onWelcome?: (welcome: MessageOf<'welcome'>) => void;
}

/** How a connection ended. */
export type SessionEnd =
  | { readonly type: 'finished'; readonly message: string; readonly anotherMayFollow?: boolean }
  | ({ readonly type: 'refused' } & Readonly<Omit<MessageOf<'refuse'>, 'type'>>)
  /** This worker cannot compute what the run needs. */
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'lost'; readonly message: string };

/** Heartbeats without a message after which the coordinator counts as dead. */
const silentHeartbeats = 8;
/** Longest silence before `welcome` sets the heartbeat interval. */
const handshakeMs = 15_000;

/** Parts of a session that depend on the run. */
interface RunParts {
  readonly format: DataFormat;
  readonly numerics: NumericsAnswerer;
  readonly answer: TaskAnswerer;
  readonly newSamples: () => SampleCache;
}

export class Session {
  readonly ended: Promise<SessionEnd>;
  readonly #options: SessionOptions;
  readonly #liveness: LivenessTimer;
  readonly #faults: FaultInjector;
  readonly #tasks = new TaskQueue();
  readonly #vectors: ArrivingVectors;
  #stopHeartbeat = (): void => {};
  #samples = new SampleCache({ count: 0, maxBytes: 0 });
  /** Undefined before the welcome, which no check and no task may precede. */
  #run: RunParts | undefined;
  #weightsStep = -1;
  #weightsAtMs = 0;
  #isComputing = false;
  /** Memory of the compute that was given for the newest weights. */
  #weightsMemory: Uint8Array | undefined;
  #pendingJobs = 0;
  /** The last job on the compute: opening, numerics checks, weights and shards run one after another. */
  #lastJob: Promise<void> = Promise.resolve();
  #end: SessionEnd | undefined;
  #resolveEnded: (end: SessionEnd) => void = () => {};

  constructor(options: SessionOptions) {
    const { transport, clock, compute } = options;
    this.#options = options;
    this.#vectors = new ArrivingVectors((part) => {
      if (part.type === 'chunk' || !this.#isComputing) compute.takeWeightsPart?.(part);
    });
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#faults = new FaultInjector(clock, (message) => {
      if (!this.#end) this.#receive(message);
    });
    transport.listen({
      memoryFor: (type, byteLength) => this.#memoryFor(type, byteLength),
      onMessage: (message) => this.#receive(message),
      onClose: (closing) => this.#closed(closing),
    });
    transport.send(helloOf(options));
    this.#liveness = new LivenessTimer(clock, transport, handshakeMs, (patienceMs) => {
      const message = `the coordinator sent nothing for ${Math.round(patienceMs / 1000)} s`;
      this.#stop({ type: 'lost', message }, 1001);
    });
  }

  /** Says goodbye and ends the connection. */
  leave(message: string): void {
    if (this.#end) return;
    this.#options.transport.send({ type: 'bye', message });
    this.#stop({ type: 'finished', message }, 1000);
  }

  reportStatus(status: WorkerStatus): void {
    if (!this.#end) this.#options.transport.send({ type: 'status', ...status });
  }

  /** Returns the compute's own memory for whole weights, unless something still needs the weights that it holds. */
  #memoryFor(type: Message['type'], byteLength: number): Uint8Array | undefined {
    const { compute } = this.#options;
    // A compute that forwards messages may need them longer than the session does.
    if (this.#faults.isDeferring || compute.takeWeightsPart) return undefined;
    const own = type === 'weights' && this.#pendingJobs === 0 ? compute.weightsMemory?.() : undefined;
    this.#weightsMemory = own?.length === byteLength ? own : undefined;
    return this.#weightsMemory ?? this.#vectors.memoryFor(type, byteLength);
  }

  #receive(message: CoordinatorMessage): void {
    this.#liveness.restart();
    if (!this.#faults.defers(message)) this.#handleMessage(message);
  }

  #handleMessage(message: CoordinatorMessage): void {
    switch (message.type) {
      case 'welcome':
        this.#welcomed(message);
        return;
      case 'refuse':
        this.#stop({ ...message, type: 'refused' }, 1000);
        return;
      case 'numericsCheck':
      case 'weights':
      case 'chunk':
        this.#takeVector(message);
        return;
      case 'task':
        this.#takeTask(message);
        return;
      case 'cancel':
        this.#tasks.cancel(message);
        return;
      case 'goBack':
        this.#goBack(message.step);
        return;
      case 'injectFault':
        if (message.action === 'kill') this.#stop({ type: 'failed', message: 'killed from the dashboard' }, 1001);
        else this.#faults.inject(message.action, message.forMs);
        return;
      case 'finish':
        this.#stop({ ...message, type: 'finished' }, 1000);
        return;
      case 'ping':
        this.#options.transport.send({ type: 'pong', sentAtMs: message.sentAtMs });
        return;
      case 'pong':
      case 'bye':
        return;
      default:
        message satisfies never;
    }
  }

  #welcomed(welcome: MessageOf<'welcome'>): void {
    const { compute, sampleCacheBytes = 0, onEvent, onWelcome } = this.#options;
    const { id, resumeKey, model, microbatchSize, targetField, innerSteps, heartbeatMs } = welcome;
    const { cachedSamples: count = 0 } = welcome;
    this.#liveness.patienceMs = heartbeatMs * silentHeartbeats;
    this.#stopHeartbeat();
    this.#stopHeartbeat = every(this.#options.clock, heartbeatMs, () => this.#ping());
    const createByteCache = compute.createByteCache?.bind(compute);
    const setup = { model, microbatchSize, targetField, innerSteps };
    const numerics = createNumericsAnswerer(this.#options, setup, welcome.chunkBytes);
    this.#run = {
      format: welcome,
      numerics,
      answer: createTaskAnswerer(this.#options, this.#faults, welcome),
      newSamples: () => new SampleCache({ count, maxBytes: sampleCacheBytes, createByteCache }),
    };
    onWelcome?.(welcome);
    onEvent?.({ type: 'welcomed', id, resumeKey });
    this.#enqueue(() => numerics.open());
  }

  /**
   * Pings unprompted: on a narrow link the coordinator's ping waits behind weights longer than a worker may be silent.
   */
  #ping(): void {
    if (this.#faults.isFrozen) return;
    const { clock, transport } = this.#options;
    const { receivedBytes } = transport;
    // The count shows the coordinator that bytes still arrive, and only the link is slow.
    transport.send({ type: 'ping', sentAtMs: clock.nowMs(), ...(receivedBytes !== undefined && { receivedBytes }) });
  }

  #takeVector(message: MessageOf<'numericsCheck' | 'weights' | 'chunk'>): void {
    this.#orLost(() => {
      const whole = this.#vectors.take(message);
      if (whole?.type === 'numericsCheck') this.#checkNumerics(whole);
      else if (whole) this.#takeWeights(whole);
    });
  }

  /** Handles a message; ends the connection if the message is invalid. */
  #orLost(take: () => void): void {
    try {
      take();
    } catch (error) {
      this.#stop({ type: 'lost', message: errorText(error) }, 1002);
    }
  }

  #checkNumerics({ weights, ...batch }: MessageOf<'numericsCheck'>): void {
    const { transport, onEvent } = this.#options;
    const check = { weights, ...this.#decode(batch) };
    const { numerics, newSamples } = this.#run!;
    this.#tasks.dropBefore(Number.POSITIVE_INFINITY);
    this.#weightsStep = -1;
    // The compute may have lost its cached samples, so the coordinator sends all samples again.
    this.#samples = newSamples();
    this.#enqueue(async () => {
      for (const message of await numerics.answer(check, () => this.#end !== undefined)) transport.send(message);
      onEvent?.({ type: 'ready' });
    });
  }

  #takeWeights({ step, bytes }: MessageOf<'weights'>): void {
    this.#weightsStep = step;
    this.#weightsAtMs = this.#options.clock.nowMs();
    this.#tasks.dropBefore(step);
    // Queued like the shards, so that no shard is computed partly with old and partly with new weights.
    if (bytes !== this.#weightsMemory) {
      this.#enqueue(async () => {
        this.#options.compute.setWeights(bytes, step);
        this.#vectors.reuse(bytes);
      });
    }
    this.#computeNext();
  }

  #goBack(step: number): void {
    const { compute, transport } = this.#options;
    this.#tasks.cancelAll();
    this.#weightsStep = Math.min(this.#weightsStep, step - 1);
    compute.goBack?.(step);
    // Nothing that was computed before is sent after this.
    transport.send({ type: 'wentBack' });
  }

  #takeTask(task: MessageOf<'task'>): void {
    const receivedAtMs = this.#options.clock.nowMs();
    this.#orLost(() => {
      // Samples of a late task are cached as well, because later tasks may name them.
      const shard = this.#samples.samplesOf({ ...this.#decode(task), numbers: task.numbers });
      const { step, lo, n, first: firstSample = 0 } = task;
      if (step < this.#weightsStep) return;
      this.#tasks.add({ step, lo, n, firstSample, ...shard, receivedAtMs, isCanceled: false });
      this.#computeNext();
    });
  }

  #decode(batch: Parameters<typeof decodeBatch>[1]): SampleBatch {
    if (!this.#run) throw new Error('expected a welcome before samples');
    return decodeBatch(this.#run.format, batch);
  }

  #computeNext(): void {
    if (this.#isComputing) return;
    const task = this.#tasks.start(this.#weightsStep);
    if (!task) return;
    this.#isComputing = true;
    this.#enqueue(async () => {
      try {
        // Newer weights or a cancel may have arrived before this job began.
        if (task.step !== this.#weightsStep || task.isCanceled) return;
        this.#send(await this.#run!.answer(task, this.#weightsAtMs));
      } finally {
        this.#isComputing = false;
        this.#computeNext();
      }
    });
  }

  #send(answer: Iterable<MessageOf<'gradient' | 'taskError' | 'chunk'>>): void {
    let first: MessageOf<'gradient' | 'taskError' | 'chunk'> | undefined;
    for (const message of answer) {
      this.#options.transport.send(message);
      first ??= message;
    }
    if (first?.type !== 'gradient') return;
    const { step, count, computeMs } = first;
    this.#options.onEvent?.({ type: 'computed', step, count, computeMs });
  }

  #enqueue(job: () => Promise<void>): void {
    this.#pendingJobs += 1;
    this.#lastJob = this.#lastJob.then(async () => {
      try {
        if (!this.#end) await job();
      } catch (error) {
        this.#stop({ type: 'failed', message: errorText(error) }, 1011);
      } finally {
        this.#pendingJobs -= 1;
      }
    });
  }

  #stop(end: SessionEnd, code: number): void {
    this.#end ??= end;
    this.#tasks.cancelAll();
    this.#options.transport.close(code, end.message);
  }

  #closed(closing: Closing): void {
    this.#liveness.stop();
    this.#stopHeartbeat();
    this.#end ??= { type: 'lost', message: lostMessage(closing) };
    this.#tasks.cancelAll();
    this.#resolveEnded(this.#end);
  }
}

function helloOf({ compute, identity, sampleCacheBytes = 0 }: SessionOptions): MessageOf<'hello'> {
  const { kind, name, token, resumeKey } = identity;
  const { backend, numericMode, threads, vectorBits } = compute;
  return {
    type: 'hello',
    protocol: protocolVersion,
    kind,
    backend,
    numericMode,
    name,
    threads,
    ...(vectorBits === undefined ? {} : { vectorBits }),
    ...(token === undefined ? {} : { token }),
    ...(resumeKey === undefined ? {} : { resumeKey }),
    ...(sampleCacheBytes > 0 ? { sampleCacheBytes } : {}),
  };
}

function lostMessage({ code, reason, by }: Closing): string {
  if (reason !== '') return reason;
  return code === 1006 || by === 'remote'
    ? 'the connection to the coordinator broke'
    : `connection closed with code ${code}`;
}

/** First message of a vector from the coordinator. */
type First = MessageOf<'weights' | 'numericsCheck'>;

/** Assembles the coordinator's vectors from their first messages and chunks. */
class ArrivingVectors {
  readonly #onWeightsPart: (message: WeightsMessage) => void;
  readonly #receiver = new VectorReceiver<FloatChunk, VectorAssembly>();
  /** First message of the newest vector that arrives in several. */
  #first: First | undefined;
  /** The newest complete vector, if it is in memory of the session. */
  #lent: Uint8Array | undefined;
  /** Memory for the next vector: that of a vector that is no longer needed. */
  #spare: Uint8Array | undefined;

  /** @param onWeightsPart receives each valid message of weights that arrive in several */
  constructor(onWeightsPart: (message: WeightsMessage) => void) {
    this.#onWeightsPart = onWeightsPart;
  }

  /**
   * Takes the next message of a vector. Returns the message with the complete vector, or undefined if more chunks must
   * come. A new vector replaces an incomplete one: a relay forwards weights as they arrive, so they may break off.
   * @throws Error with one sentence if chunks are missing, repeated or do not fit
   */
  take(message: First | MessageOf<'chunk'>): First | undefined {
    if (message.type !== 'chunk' && message.values === undefined) {
      this.#receiver.drop();
      if (message.type === 'weights' && this.#spare && isSamePlace(message.bytes, this.#spare)) {
        this.#lent = message.bytes;
        this.#spare = undefined;
      }
      return message;
    }
    const arrival = message.type === 'chunk' ? this.#receiver.next(message) : this.#begin(message, message.values!);
    const first = this.#first!;
    if (arrival?.fault !== undefined) throw new Error(`${first.type}: ${arrival.fault}`);
    if (arrival) this.#lent = arrival.sink.bytes;
    if (first.type === 'weights' && message.type !== 'numericsCheck') this.#onWeightsPart(message);
    if (!arrival) return undefined;
    const { bytes } = arrival.sink;
    return first.type === 'weights' ? { ...first, bytes } : { ...first, weights: bytes };
  }

  /** Returns memory for a chunk or for the beginning of weights; undefined for other bytes. */
  memoryFor(type: Message['type'], byteLength: number): Uint8Array | undefined {
    if (type === 'chunk') return this.#receiver.memoryFor(byteLength);
    if (type !== 'weights') return undefined;
    if (!this.#spare || this.#spare.length < byteLength) this.#spare = new Uint8Array(byteLength);
    return this.#spare.subarray(0, byteLength);
  }

  /** Allows the memory of these weights to be used for the next vector, because they have been copied. */
  reuse(weights: Uint8Array): void {
    if (weights === this.#lent) this.#spare = weights;
  }

  #begin(first: First, values: number) {
    this.#first = first;
    const vector = new VectorAssembly(values, this.#spare);
    this.#spare = undefined;
    const part = first.type === 'numericsCheck' ? { at: 0, bytes: first.weights } : { at: 0, ...first };
    return this.#receiver.begin(vector, part);
  }
}

/** Calls back at regular intervals, first after one interval, until the returned function is called. */
function every(clock: Clock, intervalMs: number, callback: () => void): () => void {
  let cancel = (): void => {};
  const schedule = (): void => {
    cancel = clock.after(intervalMs, () => {
      schedule();
      callback();
    });
  };
  schedule();
  return () => cancel();
}

/** Times that the clock is checked within the longest silence. */
const looks = 8;

/** Detects a silent coordinator: no message arrives, nor more bytes of one. */
export class LivenessTimer {
  /** Longest silence of a live coordinator. */
  patienceMs: number;
  readonly #clock: Clock;
  readonly #transport: Pick<WorkerTransport, 'receivedBytes'>;
  readonly #onSilence: (patienceMs: number) => void;
  #arrivalAtMs: number;
  #arrivedBytes = 0;
  #cancel = (): void => {};

  constructor(
    clock: Clock,
    transport: Pick<WorkerTransport, 'receivedBytes'>,
    patienceMs: number,
    onSilence: (patienceMs: number) => void,
  ) {
    this.#clock = clock;
    this.#transport = transport;
    this.patienceMs = patienceMs;
    this.#onSilence = onSilence;
    this.#arrivalAtMs = clock.nowMs();
    this.#schedule();
  }

  restart(): void {
    this.#arrivalAtMs = this.#clock.nowMs();
  }

  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(this.patienceMs / looks, () => {
      const receivedBytes = this.#transport.receivedBytes ?? 0;
      if (receivedBytes > this.#arrivedBytes) this.restart();
      this.#arrivedBytes = receivedBytes;
      if (this.#clock.nowMs() - this.#arrivalAtMs > this.patienceMs) this.#onSilence(this.patienceMs);
      else this.#schedule();
    });
  }
}
