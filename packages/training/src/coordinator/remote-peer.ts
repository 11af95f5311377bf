/** A worker at the other end of a transport. */
import type { CoordinatorTransport, MessageOf } from '@lockstep/protocol';
import { encodeBatch } from '../batch-bytes.ts';
import type { NumericsCheck } from '../numerics-check.ts';
import type { ParameterServer } from '../parameter-server.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { Peer, RuleMessage } from './peer.ts';
import type { ConnectionId, RunSetup } from './state.ts';
import { TaskSender } from './task-sender.ts';

interface RemoteSourcesOptions {
  readonly setup: Pick<RunSetup, 'plan'>;
  readonly samples: ShardSource;
  readonly parameterServer: ParameterServer;
  readonly numericsCheck: NumericsCheck;
}

/** What all remote workers of a run are sent. */
export class RemoteSources {
  readonly numericsCheck: NumericsCheck;
  readonly tasks: TaskSender;
  readonly #parameterServer: ParameterServer;
  #weights: MessageOf<'weights'> | undefined;

  constructor({ setup, samples, parameterServer, numericsCheck }: RemoteSourcesOptions) {
    this.numericsCheck = numericsCheck;
    this.tasks = new TaskSender(samples, setup.plan);
    this.#parameterServer = parameterServer;
  }

  /** The message with the newest weights, which are those of the step; one object for all, so that the codec encodes it once. */
  weightsOf(step: number): MessageOf<'weights'> {
    if (this.#weights?.step !== step) {
      this.#weights = { type: 'weights', step, bytes: this.#parameterServer.weightBytes() };
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
    const { weights, ...batch } = this.#sources.numericsCheck;
    this.#transport.send({ type: 'numericsCheck', weights, ...encodeBatch(batch) });
  }

  sendWeights(step: number): void {
    this.#transport.send(this.#sources.weightsOf(step));
  }

  sendTask(step: number, shard: Shard, cachesSamples: boolean): void {
    this.#transport.send(this.#sources.tasks.messageFor(this.#connection, step, shard, cachesSamples));
  }

  close(code: number, reason: string): void {
    this.#transport.close(code, reason);
  }
}
