/**
 * Runs that outlive their coordinator: lease, address and checkpoints are kept in NATS, so another coordinator can take
 * over.
 * @module
 */

export type { FleetCoordinator, FleetCoordinatorOptions, JoinPlace } from './coordinator.ts';
export { CoordinatorFinder, type FinderChoices } from './finder.ts';
export { Fleet } from './fleet.ts';
export { type FleetOptions, openFleet } from './nats.ts';
export type { FleetCheckpoint, FleetPart, FleetRun, RelayRecord } from './records.ts';
export {
  FleetError,
  type FleetStore,
  type FleetTime,
  type KeyValues,
  type Objects,
  RevisionConflict,
  type Versioned,
} from './store.ts';
