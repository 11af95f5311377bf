/** What joins a run and computes for it, in Node; the entry of a page is `@lockstep/worker/browser`. */
export { type ComputeChoice, computeChoices, defaultThreads, requireThreads } from './compute-choice.ts';
export { ConfigurationError, configurationError, type NamedOption, named } from './configuration-error.ts';
export { connect } from './connect.ts';
export { openCompute } from './open-compute.ts';
export { systemClock } from './system-clock.ts';
