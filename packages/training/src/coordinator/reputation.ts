/** Trust in workers: results that were confirmed prove a worker, failures count against its address. */
import { type Draft, updateConnection } from './draft.ts';
import type { AddressRecord, Connection, ConnectionId } from './state.ts';

/** Addresses that are remembered; the longest unchanged are forgotten first. */
const mostAddresses = 4_096;
/** Confirmed results that a worker needs at most before it counts as proven. */
const mostResults = 64;
/** Quarantines after which an address is refused. */
const mostQuarantines = 3;

const clean: AddressRecord = { failures: 0, quarantines: 0 };

function addressRecord(draft: Draft, { address }: Connection): AddressRecord {
  return draft.addresses.get(address) ?? clean;
}

/**
 * One more result of a connection was compared and found right. It is proven after the first, or twice as many for each
 * failure of its address, and stays so while it is connected: a failure of a neighbor takes nothing from it.
 */
export function recordSuccess(draft: Draft, id: ConnectionId): void {
  const connection = draft.connections.get(id);
  if (!connection) return;
  const confirmed = connection.confirmed + 1;
  const needed = Math.min(mostResults, 2 ** addressRecord(draft, connection).failures);
  updateConnection(draft, id, {
    confirmed,
    isProven: connection.isProven || confirmed >= needed,
    isDoubted: false,
  });
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
