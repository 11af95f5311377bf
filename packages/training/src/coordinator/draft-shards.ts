/** The shards of a step in a draft, with what each connection owes of them at hand. */
import { DraftMap } from './draft-map.ts';
import type { ConnectionId, ShardState } from './state.ts';

const none: readonly ShardState[] = [];

export class DraftShards extends DraftMap<string, ShardState> {
  /** Samples that each connection owes; counted when they are first asked for, then kept up to date. */
  #owed: Map<ConnectionId, number> | undefined;
  /** Shards that each connection owes, in the order of the map; undefined after a change. */
  #owned: Map<ConnectionId, ShardState[]> | undefined;

  constructor(shards: ReadonlyMap<string, ShardState> = new Map()) {
    super(shards);
  }

  owedSamples(connection: ConnectionId): number {
    this.#owed ??= this.#countAll();
    return this.#owed.get(connection) ?? 0;
  }

  ownedBy(connection: ConnectionId): readonly ShardState[] {
    this.#owned ??= this.#listAll();
    return this.#owned.get(connection) ?? none;
  }

  override set(key: string, shard: ShardState): this {
    this.#recount(this.get(key), shard);
    return super.set(key, shard);
  }

  override delete(key: string): boolean {
    this.#recount(this.get(key), undefined);
    return super.delete(key);
  }

  #recount(before: ShardState | undefined, after: ShardState | undefined): void {
    this.#owned = undefined;
    if (!this.#owed) return;
    if (before) count(this.#owed, before, -before.samples);
    if (after) count(this.#owed, after, after.samples);
  }

  #countAll(): Map<ConnectionId, number> {
    const owed = new Map<ConnectionId, number>();
    for (const shard of this.values()) count(owed, shard, shard.samples);
    return owed;
  }

  #listAll(): Map<ConnectionId, ShardState[]> {
    const owned = new Map<ConnectionId, ShardState[]>();
    for (const shard of this.values()) {
      for (const connection of ownersOf(shard)) {
        const list = owned.get(connection);
        if (list) list.push(shard);
        else owned.set(connection, [shard]);
      }
    }
    return owned;
  }
}

function count(owed: Map<ConnectionId, number>, shard: ShardState, samples: number): void {
  for (const connection of ownersOf(shard)) owed.set(connection, (owed.get(connection) ?? 0) + samples);
}

/** Connections that owe a shard, each once. */
function ownersOf({ done, owners }: ShardState): Iterable<ConnectionId> {
  if (done || owners.length === 0) return [];
  return owners.length === 1 ? [owners[0]!.connection] : new Set(owners.map(({ connection }) => connection));
}
