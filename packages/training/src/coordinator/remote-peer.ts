/** A worker at the other end of a transport. */
import { bytesOf, type CoordinatorTransport, FrameMemory, framed, type MessageOf } from '@lockstep/protocol';
import { encodeBatch } from '../batch-bytes.ts';
import type { NumericsCheck } from '../numerics-check.ts';
import type { Parameters } from '../parameters.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import { vectorMessages } from '../vector-chunks.ts';
import type { WeightsPart } from '../worker/incoming-vectors.ts';
import type { Peer, RuleMessage } from './peer.ts';
import type { ConnectionId, RunSetup } from './state.ts';
import { TaskSender } from './task-sender.ts';

interface RemoteSourcesOptions {
  readonly setup: Pick<RunSetup, 'plan' | 'limits'>;
  readonly samples: ShardSource;
  readonly parameterServer: Parameters;
  readonly numericsCheck: NumericsCheck;
}

type CheckMessage = MessageOf<'numericsCheck' | 'chunk'>;
type WeightsMessage = MessageOf<'exponents' | 'weights' | 'chunk'>;

/** Longer vectors are framed in one block of memory, and those of the numerics check are not kept. */
const mostSmallBytes = 4 * 1024 * 1024;

/** What all remote workers of a run are sent: the same objects to all, so that the codec encodes each once. */
export class RemoteSources {
  readonly tasks: TaskSender;
  readonly #numericsCheck: NumericsCheck;
  readonly #parameterServer: Parameters;
  readonly #chunkBytes: number;
  /** Of the numerics check, where they are short. */
  #checkMessages: readonly CheckMessage[] | undefined;
  /** The same, as long as messages of a worker that joined just before are still there. */
  #newestCheck: WeakRef<readonly CheckMessage[]> | undefined;
  #weights: WeightsMessage[] = [];
  /** Of long weights: their frames, and where those were sent. */
  #weightsMemory: FrameMemory | undefined;
  readonly #sentTo = new Set<CoordinatorTransport>();
  #weightsStep = -1;

  constructor({ setup, samples, parameterServer, numericsCheck }: RemoteSourcesOptions) {
    this.tasks = new TaskSender(samples, setup.plan);
    this.#parameterServer = parameterServer;
    this.#chunkBytes = setup.limits.chunkBytes;
    this.#numericsCheck = numericsCheck;
  }

  /** Short messages are encoded once; long ones are made for each worker that joins, so that a run does not keep them. */
  sendNumericsCheck(transport: CoordinatorTransport): void {
    const messages = this.#checkMessages ?? this.#newestCheck?.deref() ?? this.#newCheckMessages();
    if (this.#isSmall) this.#checkMessages = messages;
    else this.#newestCheck = new WeakRef(messages);
    for (const message of messages) transport.send(message);
  }

  /** Sends the newest weights, which are those of the step. They are copied once, into frames that all workers get. */
  sendWeights(step: number, transport: CoordinatorTransport): void {
    if (this.#weightsStep !== step) this.#readyWeightsMemory();
    if (!this.#isSmall) this.#sentTo.add(transport);
    if (this.#weightsStep === step) {
      for (const message of this.#weights) transport.send(message);
      return;
    }
    const { backend, parameters } = this.#parameterServer;
    const memory = this.#weightsMemory;
    const begin = (bytes: Uint8Array, fields: { readonly values?: number }): MessageOf<'weights'> =>
      framed({ type: 'weights', step, ...fields, bytes }, memory);
    this.#weights = [];
    for (const message of exponentMessages(step, this.#parameterServer.exponents, this.#chunkBytes)) {
      this.#weights.push(message);
      transport.send(message);
    }
    for (const message of vectorMessages(bytesOf(backend.view(parameters)), this.#chunkBytes, begin, memory)) {
      this.#weights.push(message);
      transport.send(message);
    }
    this.#weightsStep = step;
  }

  get #isSmall(): boolean {
    return this.#parameterServer.parameterCount * 4 <= Math.max(mostSmallBytes, this.#chunkBytes);
  }

  /** The block of the step before is used again where all of it is sent: until it is collected, there would be two. */
  #readyWeightsMemory(): void {
    const isSent = [...this.#sentTo].every(({ bufferedBytes }) => bufferedBytes === 0);
    this.#sentTo.clear();
    if (isSent && this.#weightsMemory) this.#weightsMemory.reuse();
    else this.#weightsMemory = this.#newFrameMemory();
  }

  #newFrameMemory(): FrameMemory | undefined {
    if (this.#isSmall) return undefined;
    const bytes = this.#parameterServer.parameterCount * 4;
    return new FrameMemory(bytes, Math.ceil(bytes / this.#chunkBytes));
  }

  #newCheckMessages(): CheckMessage[] {
    const { weights: checked, ...batch } = this.#numericsCheck;
    const begin = (weights: Uint8Array, fields: { readonly values?: number }) =>
      ({ type: 'numericsCheck', weights, ...fields, ...encodeBatch(batch) }) as const;
    return [...vectorMessages(checked, this.#chunkBytes, begin, this.#newFrameMemory())];
  }
}

function* exponentMessages(
  step: number,
  exponents: Int8Array | undefined,
  chunkBytes: number,
): Generator<MessageOf<'exponents'>, void> {
  if (!exponents) return;
  const all = new Uint8Array(exponents.buffer, exponents.byteOffset, exponents.length);
  for (let at = 0; at < all.length; at += chunkBytes) {
    yield { type: 'exponents', step, at, bytes: all.subarray(at, at + chunkBytes) };
  }
}

export class RemotePeer implements Peer {
  readonly #connection: ConnectionId;
  readonly #transport: CoordinatorTransport;
  readonly #sources: RemoteSources;

  constructor(connection: ConnectionId, transport: CoordinatorTransport, sources: RemoteSources) {
    this.#connection = connection;
    this.#transport = transport;
    this.#sources = sources;
  }

  get receivedBytes(): number | undefined {
    return this.#transport.receivedBytes;
  }

  send(message: RuleMessage): void {
    this.#transport.send(message);
  }

  sendNumericsCheck(): void {
    this.#sources.sendNumericsCheck(this.#transport);
  }

  sendWeights(step: number): void {
    this.#sources.sendWeights(step, this.#transport);
  }

  forwardWeights(part: WeightsPart): void {
    this.#transport.send(part);
  }

  sendTask(step: number, shard: Shard, cachesSamples: boolean): void {
    this.#transport.send(this.#sources.tasks.messageFor(this.#connection, step, shard, cachesSamples));
  }

  close(code: number, reason: string): void {
    this.#transport.close(code, reason);
  }
}
