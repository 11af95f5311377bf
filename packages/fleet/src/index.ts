/**
 * Runs that outlive their coordinator: lease, address and checkpoints are kept in NATS, so another coordinator can take
 * over.
 * @module
 */

export type { FleetCheckpoint } from './checkpoints.ts';
export type { RunClaim } from './config.ts';
export type { CoordinatorOptions, FleetCoordinator, JoinPlace } from './coordinator.ts';
export { CoordinatorFinder, type FinderChoices } from './finder.ts';
export { Fleet } from './fleet.ts';
export { FleetError } from './fleet-error.ts';
export { type FleetOptions, openFleet } from './nats/open.ts';
export type { RelayRecord } from './records.ts';
export type { FleetTime } from './repeat.ts';
export { type FleetStore, type KeyValues, type Objects, RevisionConflict, type Versioned } from './store.ts';
