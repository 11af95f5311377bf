/** Connections to the workers of a run, and the messages that they carry to the workers. */

import type { NumericsCheck, Parameters, ShardSource, WeightsMessage } from '@lockstep/compute';
import {
  announced,
  bytesOf,
  type CoordinatorMessage,
  type CoordinatorTransport,
  enclosed,
  FramePool,
  type MessageOf,
  type OutgoingVector,
  VectorBroadcast,
  type WorkerMessage,
} from '@lockstep/protocol';
import {
  type Command,
  type ConnectionId,
  encodeBatch,
  firstSample,
  type RunPlan,
  type RunSetup,
  type Shard,
} from '@lockstep/rules';

/** A message of the rules to one worker. */
export type RuleMessage = Extract<Command, { type: 'send' }>['message'];

/** The coordinator's side of a worker's connection, whatever the transport. */
export interface WorkerConnection {
  /** Bytes received so far, including unfinished frames, if the transport counts them. */
  readonly receivedBytes?: number | undefined;
  send(message: RuleMessage): void;
  sendNumericsCheck(): void;
  /** Sends the step's weights, which the parameter server now holds. */
  sendWeights(step: number): void;
  /** Forwards one message of weights that are still arriving; only relays do so. */
  forwardWeights?(part: WeightsMessage): void;
  /** @param cachesSamples whether the worker has said that it caches samples */
  sendTask(step: number, shard: Shard, cachesSamples: boolean): void;
  close(code: number, reason: string): void;
  /** Releases the resources of a connection that has ended. */
  forget?(): void;
}

/** Returns the bytes received over each connection whose transport counts them. */
export function receivedBytesOf(connections: ReadonlyMap<ConnectionId, WorkerConnection>): Map<ConnectionId, number> {
  const received = new Map<ConnectionId, number>();
  for (const [connection, { receivedBytes }] of connections) {
    if (receivedBytes !== undefined) received.set(connection, receivedBytes);
  }
  return received;
}

/** Connection of a worker at the other end of a transport. */
export class RemoteConnection implements WorkerConnection {
  readonly #connection: ConnectionId;
  readonly #transport: CoordinatorTransport;
  readonly #sources: RemoteSources;
  /** Outgoing vectors, including sent ones that are not pruned yet. */
  #vectors: OutgoingVector[] = [];

  constructor(connection: ConnectionId, transport: CoordinatorTransport, sources: RemoteSources) {
    this.#connection = connection;
    this.#transport = transport;
    this.#sources = sources;
  }

  get receivedBytes(): number | undefined {
    return this.#transport.receivedBytes;
  }

  /** Returns a message with its claim corrected: no worker has received more bytes than it was sent. */
  checked(message: WorkerMessage): WorkerMessage {
    if (message.type !== 'ping') return message;
    const { receivedBytes = 0, ...ping } = message;
    return { ...ping, receivedBytes: Math.min(receivedBytes, this.#transport.sentBytes ?? 0) };
  }

  send(message: RuleMessage): void {
    // The rest of weights that do not count any more need not be sent.
    if (message.type === 'goBack') this.#dropVectors();
    this.#transport.send(message);
  }

  sendNumericsCheck(): void {
    // A worker begins a numerics check with an empty sample cache.
    this.#sources.tasks.forget(this.#connection);
    this.#sendVector(this.#sources.numericsCheck());
  }

  sendWeights(step: number): void {
    this.#sendVector(this.#sources.weights(step, this.#transport.copiesStreams));
  }

  forwardWeights(part: WeightsMessage): void {
    this.#transport.send(part);
  }

  sendTask(step: number, shard: Shard, cachesSamples: boolean): void {
    this.#transport.send(this.#sources.tasks.messageFor(this.#connection, step, shard, cachesSamples));
  }

  close(code: number, reason: string): void {
    this.#transport.close(code, reason);
  }

  forget(): void {
    this.#sources.tasks.forget(this.#connection);
    this.#dropVectors();
  }

  #dropVectors(): void {
    for (const vector of this.#vectors) vector.drop();
    this.#vectors = [];
  }

  #sendVector(vector: OutgoingVector): void {
    this.#vectors = [...this.#vectors.filter(({ isOpen }) => isOpen), vector];
    this.#transport.sendVector(vector);
  }
}

interface RemoteSourcesOptions {
  readonly setup: Pick<RunSetup, 'plan' | 'limits'>;
  readonly samples: ShardSource;
  readonly parameterServer: Parameters;
  readonly numericsCheck: NumericsCheck;
}

/** Frames of the numerics check are kept only if the weights are at most this long. */
const mostKeptBytes = 4 * 1024 * 1024;

/** Messages to all remote workers of a run. Workers that are sent a vector at the same time share encoded frames. */
export class RemoteSources {
  readonly tasks: TaskSender;
  readonly #options: RemoteSourcesOptions;
  readonly #pool = new FramePool();
  #check: VectorBroadcast | undefined;
  #weights: VectorBroadcast | undefined;

  constructor(options: RemoteSourcesOptions) {
    const { setup, samples, parameterServer } = options;
    this.#options = options;
    this.tasks = new TaskSender(samples, setup.plan);
    parameterServer.beforeChange(() => this.#weights?.keepRest());
  }

  /** The numerics check. Long weights are encoded again for workers that join later. */
  numericsCheck(): OutgoingVector {
    this.#check ??= this.#newCheck();
    return this.#check.stream();
  }

  /** The newest weights, which must be those of `step`. @param isCopied whether the connection copies each message */
  weights(step: number, isCopied?: boolean): OutgoingVector {
    // Not by the step's number: a run that goes back takes a step again with other weights.
    if (this.#weights?.hasChanged !== false) {
      const { backend, parameters } = this.#options.parameterServer;
      this.#weights = this.#broadcast(
        () => bytesOf(backend.view(parameters)),
        (bytes, fields) => ({ type: 'weights', step, ...fields, bytes }),
      );
    }
    return this.#weights.stream(isCopied);
  }

  /** Whether connections still wait for chunks of the newest weights, and how many chunks they were given. */
  get unsent(): { readonly isAny: boolean; readonly given: number } {
    const { isOpen = false, given = 0 } = this.#weights ?? {};
    return { isAny: isOpen, given };
  }

  #newCheck(): VectorBroadcast {
    const { weights: checked, ...batch } = this.#options.numericsCheck;
    return this.#broadcast(
      () => checked,
      (weights, fields) => ({ type: 'numericsCheck', weights, ...fields, ...encodeBatch(batch) }),
      () => {
        if (checked.byteLength <= mostKeptBytes) return;
        this.#check?.forgetFrames();
        this.#check = undefined;
      },
    );
  }

  /** @param begin returns the first message */
  #broadcast(
    bytes: () => Uint8Array,
    begin: (bytes: Uint8Array, fields: { readonly values?: number }) => CoordinatorMessage,
    onIdle = (): void => {},
  ): VectorBroadcast {
    const { parameterServer, setup } = this.#options;
    const { parameterCount: length } = parameterServer;
    const { chunkBytes } = setup.limits;
    return new VectorBroadcast({
      ...{ length, bytes, chunkBytes, onIdle, pool: this.#pool },
      messageOf: (part, from) =>
        from === 0 ? begin(part, announced(length, chunkBytes)) : { type: 'chunk', at: from, bytes: part },
    });
  }
}

/** Builds the task messages of a run. A worker with a sample cache is sent each sample only once. */
export class TaskSender {
  readonly #source: ShardSource;
  readonly #plan: RunPlan;
  /** For each connection with a cache, one bit per training sample: whether it was sent. */
  readonly #sent = new Map<ConnectionId, Uint8Array>();

  constructor(source: ShardSource, plan: RunPlan) {
    this.#source = source;
    this.#plan = plan;
  }

  /** Returns the message that assigns a shard; if `cachesSamples`, its samples count as sent from now on. */
  messageFor(connection: ConnectionId, step: number, { lo, n }: Shard, cachesSamples: boolean): MessageOf<'task'> {
    const samples = cachesSamples
      ? this.#unsent(connection, this.#source.numbers(step, lo, n))
      : encodeBatch(this.#source.shard(step, lo, n));
    return { type: 'task', step, lo, n, first: firstSample(this.#plan, step, lo), ...samples };
  }

  /** Forgets which samples a connection has cached. */
  forget(connection: ConnectionId): void {
    this.#sent.delete(connection);
  }

  /** Returns the numbers of all samples, but the data only of samples that the connection has not been sent. */
  #unsent(connection: ConnectionId, numbers: Uint32Array): ReturnType<typeof encodeBatch> & { numbers: Uint8Array } {
    const sent = this.#sent.get(connection) ?? new Uint8Array(Math.ceil(this.#plan.samples / 8));
    this.#sent.set(connection, sent);
    const marked = numbers.slice();
    const missing = new Uint32Array(numbers.length);
    let count = 0;
    for (let at = 0; at < numbers.length; at++) {
      const number = numbers[at]!;
      const bit = 1 << (number & 7);
      if ((sent[number >> 3]! & bit) !== 0) continue;
      sent[number >> 3]! |= bit;
      marked[at] = number + enclosed;
      missing[count++] = number;
    }
    return { numbers: bytesOf(marked), ...encodeBatch(this.#source.take(missing.subarray(0, count))) };
  }
}
