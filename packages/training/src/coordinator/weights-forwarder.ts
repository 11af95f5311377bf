/** Sends on what arrives of a step's weights, to the workers that the rules have chosen. */
import { framed } from '@lockstep/protocol';
import type { WeightsPart } from '../worker/incoming-vectors.ts';
import type { Peer } from './peer.ts';
import type { ConnectionId, CoordinatorState } from './state.ts';

export class WeightsForwarder {
  readonly #peers: ReadonlyMap<ConnectionId, Peer>;
  #receivers = new Set<ConnectionId>();

  constructor(peers: ReadonlyMap<ConnectionId, Peer>) {
    this.#peers = peers;
  }

  /** The first message of the weights follows. */
  begin(connections: readonly ConnectionId[]): void {
    this.#receivers = new Set(connections);
  }

  send({ connections }: Pick<CoordinatorState, 'connections'>, step: number, part: WeightsPart): void {
    if (this.#receivers.size === 0) return;
    // The frame that it arrived in may be used again.
    const message = framed(part);
    for (const connection of this.#receivers) {
      // One that must pass the numerics check again is sent all of them later.
      if (connections.get(connection)?.weightsStep !== step) this.#receivers.delete(connection);
      else this.#peers.get(connection)?.forwardWeights?.(message);
    }
  }
}
