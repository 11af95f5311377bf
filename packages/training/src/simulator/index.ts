/** Seeded runs in virtual time, held against the oracle: for tests and for the command `npm run simulate`. */
export { type OracleOptions, oracleWeights } from './oracle.ts';
export { createProblem, type Problem, type ProblemOptions } from './problem.ts';
export { type Simulation, type SimulationOptions, simulate } from './simulate.ts';
export { type Lie, lies } from './simulated-worker.ts';
export { VirtualClock } from './virtual-clock.ts';
