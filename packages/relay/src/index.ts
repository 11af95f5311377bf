export { type RelayEvent, type RelayOptions, relay, relayCommand } from './relay.ts';
export { Relay } from './relay-core.ts';
export type { RelayRun } from './relay-run.ts';
