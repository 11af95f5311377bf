/** Which workers have earned trust in their speed, and which addresses have lost it. */
import { type Draft, updateConnection } from './draft.ts';
import type { AddressRecord, Connection } from './state.ts';

/** Addresses that are remembered; the longest unchanged are forgotten first. */
const mostAddresses = 4_096;
/** Results that a worker needs at most before it counts as proven. */
const mostResults = 64;
/** Quarantines after which an address is refused. */
const mostQuarantines = 3;

type Addresses = { readonly addresses: ReadonlyMap<string, AddressRecord> };

const clean: AddressRecord = { failures: 0, quarantines: 0 };

function addressRecord(draft: Addresses, { address }: Connection): AddressRecord {
  return draft.addresses.get(address) ?? clean;
}

/**
 * Whether a worker's rate is believed: it has returned valid results on this connection, twice as many for each failure
 * of its address. Before that it gets small shards, which a proven worker computes as well.
 */
export function isProven(draft: Addresses, connection: Connection): boolean {
  const needed = Math.min(mostResults, 2 ** addressRecord(draft, connection).failures);
  return connection.results >= needed;
}

/** One more valid result on this connection. */
export function recordSuccess(draft: Draft, connection: Connection): void {
  updateConnection(draft, connection.connection, { results: connection.results + 1 });
}

/** A worker let a deadline pass, or sent something invalid. */
export function recordFailure(draft: Draft, connection: Connection): void {
  const before = addressRecord(draft, connection);
  remember(draft, connection, { ...before, failures: before.failures + 1 });
}

export function recordQuarantine(draft: Draft, connection: Connection): void {
  const { failures, quarantines } = addressRecord(draft, connection);
  remember(draft, connection, { failures: failures + 1, quarantines: quarantines + 1 });
}

/** Whether an address has sent too many wrong results to be let in again. */
export function isRefused(draft: Draft, connection: Connection): boolean {
  return addressRecord(draft, connection).quarantines >= mostQuarantines;
}

function remember(draft: Draft, { address }: Connection, record: AddressRecord): void {
  // Workers of this very process share no network, and no guilt.
  if (address === '') return;
  draft.addresses.delete(address);
  draft.addresses.set(address, record);
  const [oldest] = draft.addresses.keys();
  if (draft.addresses.size > mostAddresses && oldest !== undefined) draft.addresses.delete(oldest);
}
