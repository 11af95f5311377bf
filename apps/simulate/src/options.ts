/** What `npm run simulate` can be told. */
import { switchOption, wholeNumber, withFallback } from '@lockstep/command';

export const usage = 'npm run simulate -- [options]';
export const summary =
  'Runs the rules of a run in virtual time, with seeded joins, deaths, freezes and corrupt results, against the oracle.';

export const simulateOptions = {
  runs: withFallback(wholeNumber('simulated runs', { from: 1, to: 1_000_000_000 }), 1_000),
  seed: withFallback(wholeNumber('seed of the first run; each further run has the next one', { from: 0 }), 1),
  help: switchOption('show this text'),
};
