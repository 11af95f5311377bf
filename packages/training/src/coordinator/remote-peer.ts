/** A worker at the other end of a transport. */
import type { CoordinatorTransport, WorkerMessage } from '@lockstep/protocol';
import type { Shard } from '../tree.ts';
import type { WeightsPart } from '../worker/incoming-vectors.ts';
import type { Peer, RuleMessage } from './peer.ts';
import type { RemoteSources } from './remote-sources.ts';
import type { ConnectionId } from './state.ts';
import type { OutgoingVector } from './vector-broadcast.ts';

export class RemotePeer implements Peer {
  readonly #connection: ConnectionId;
  readonly #transport: CoordinatorTransport;
  readonly #sources: RemoteSources;
  /** What it is being sent, and what it has been. */
  #vectors: OutgoingVector[] = [];

  constructor(connection: ConnectionId, transport: CoordinatorTransport, sources: RemoteSources) {
    this.#connection = connection;
    this.#transport = transport;
    this.#sources = sources;
  }

  get receivedBytes(): number | undefined {
    return this.#transport.receivedBytes;
  }

  /** A message as it may be believed: no worker has received more than it was sent, whatever it says. */
  checked(message: WorkerMessage): WorkerMessage {
    if (message.type !== 'ping') return message;
    const { receivedBytes = 0, ...ping } = message;
    return { ...ping, receivedBytes: Math.min(receivedBytes, this.#transport.sentBytes ?? 0) };
  }

  send(message: RuleMessage): void {
    this.#transport.send(message);
  }

  sendNumericsCheck(): void {
    this.#sendVector(this.#sources.numericsCheck());
  }

  sendWeights(step: number): void {
    this.#sendVector(this.#sources.weights(step));
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

  forget(): void {
    this.#sources.tasks.forget(this.#connection);
    for (const vector of this.#vectors) vector.drop();
    this.#vectors = [];
  }

  #sendVector(vector: OutgoingVector): void {
    this.#vectors = [...this.#vectors.filter(({ isOpen }) => isOpen), vector];
    this.#transport.sendVector(vector);
  }
}
