/** Seeded runs in virtual time, compared with the oracle: for tests and for the command `npm run simulate`. */

export { lineOf } from './chronicle.ts';
export { type FaultKind, faults, fleetFaults, type RunFaultKind, relayFaults, runFaults } from './faults.ts';
export { createProblem, type ProblemOptions, type RunCopy, sampleFields, targetFields } from './problem.ts';
export type { FleetFinder, SimulatedFleet, SimulatedMember, StoreFaults } from './routes.ts';
export { runFault } from './run-fault.ts';
export { type Simulation, simulate } from './simulate.ts';
export type { EarlyStop } from './simulated-coordinator.ts';
export { VirtualClock } from './simulated-process.ts';
export { type LiarHabit, type Lie, lies } from './simulated-worker.ts';
