/** The coordinator's side of a worker: what the run gives it, by whatever way that goes. */
import type { Shard } from '../tree.ts';
import type { WeightsPart } from '../worker/incoming-vectors.ts';
import type { Command } from './events.ts';
import type { ConnectionId } from './state.ts';

/** A message of the rules to one worker. */
export type RuleMessage = Extract<Command, { type: 'send' }>['message'];

export interface Peer {
  /** Bytes that have arrived, unfinished frames included, where the way tells. */
  readonly receivedBytes?: number | undefined;
  send(message: RuleMessage): void;
  sendNumericsCheck(): void;
  /** The step's weights are those of the parameter server now. */
  sendWeights(step: number): void;
  /** Sends on a message of weights that came in several; a run whose weights are its own has none. */
  forwardWeights?(part: WeightsPart): void;
  /** @param cachesSamples whether the worker said that it keeps samples */
  sendTask(step: number, shard: Shard, cachesSamples: boolean): void;
  close(code: number, reason: string): void;
  /** The connection has ended: nothing more is sent. */
  forget?(): void;
}

/** Bytes that have arrived of each, where that is known. */
export function receivedBytesOf(peers: ReadonlyMap<ConnectionId, Peer>): Map<ConnectionId, number> {
  const received = new Map<ConnectionId, number>();
  for (const [connection, { receivedBytes }] of peers) {
    if (receivedBytes !== undefined) received.set(connection, receivedBytes);
  }
  return received;
}
