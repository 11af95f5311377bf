/** A relay: upward a worker, downward a coordinator, which adds what the workers behind it compute. */
export { type RelayEvent, type RelayOptions, relay, relayCommand } from './relay.ts';
export { Relay } from './relay-core.ts';
export type { RelayRun } from './relay-run.ts';
