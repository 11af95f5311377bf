/** A worker at the other end of a transport. */
import { bytesOf, type CoordinatorTransport, framed, type MessageOf } from '@lockstep/protocol';
import { encodeBatch } from '../batch-bytes.ts';
import type { NumericsCheck } from '../numerics-check.ts';
import type { ParameterServer } from '../parameter-server.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import { vectorMessages } from '../vector-chunks.ts';
import type { Peer, RuleMessage } from './peer.ts';
import type { ConnectionId, RunSetup } from './state.ts';
import { TaskSender } from './task-sender.ts';

interface RemoteSourcesOptions {
  readonly setup: Pick<RunSetup, 'plan' | 'limits'>;
  readonly samples: ShardSource;
  readonly parameterServer: ParameterServer;
  readonly numericsCheck: NumericsCheck;
}

/** What all remote workers of a run are sent: the same objects to all, so that the codec encodes each once. */
export class RemoteSources {
  readonly tasks: TaskSender;
  readonly numericsCheck: readonly MessageOf<'numericsCheck' | 'chunk'>[];
  readonly #parameterServer: ParameterServer;
  readonly #chunkBytes: number;
  #weights: readonly MessageOf<'weights' | 'chunk'>[] = [];
  #weightsStep = -1;

  constructor({ setup, samples, parameterServer, numericsCheck }: RemoteSourcesOptions) {
    this.tasks = new TaskSender(samples, setup.plan);
    this.#parameterServer = parameterServer;
    this.#chunkBytes = setup.limits.chunkBytes;
    const { weights: checked, ...batch } = numericsCheck;
    this.numericsCheck = vectorMessages(checked, this.#chunkBytes, (weights, fields) => ({
      type: 'numericsCheck',
      weights,
      ...fields,
      ...encodeBatch(batch),
    }));
  }

  /** The newest weights, which are those of the step. They are copied once, into the frames. */
  weightsOf(step: number): readonly MessageOf<'weights' | 'chunk'>[] {
    if (this.#weightsStep !== step) {
      const { backend, parameters } = this.#parameterServer;
      const bytes = bytesOf(backend.view(parameters));
      this.#weights = vectorMessages(bytes, this.#chunkBytes, (first, fields) =>
        framed({ type: 'weights', step, ...fields, bytes: first }),
      );
      this.#weightsStep = step;
    }
    return this.#weights;
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
    for (const message of this.#sources.numericsCheck) this.#transport.send(message);
  }

  sendWeights(step: number): void {
    for (const message of this.#sources.weightsOf(step)) this.#transport.send(message);
  }

  sendTask(step: number, shard: Shard, cachesSamples: boolean): void {
    this.#transport.send(this.#sources.tasks.messageFor(this.#connection, step, shard, cachesSamples));
  }

  close(code: number, reason: string): void {
    this.#transport.close(code, reason);
  }
}
