/** The options of `npm run worker`. */
import { hostname } from 'node:os';
import {
  choice,
  commandText,
  coordinatorUrl,
  fleetOptions,
  generalOptions,
  lineOption,
  switchOption,
  tokenOptions,
  type ValuesOf,
  wholeNumber,
  withFallback,
} from '@lockstep/command';
import { computeChoices } from '@lockstep/worker';

export const usage = commandText('worker', '--url ws://HOST:PORT [options]');
export const summary =
  'Joins a coordinator and computes gradients for it; comes back by itself when the connection breaks.';

export const workerOptions = {
  url: coordinatorUrl('address of the coordinator, as it prints it', 'socket or page'),
  name: withFallback(lineOption('NAME', 'name of this worker in the run', 80), hostname().slice(0, 80)),
  backend: withFallback(choice(computeChoices, 'what computes'), 'auto'),
  threads: withFallback(wholeNumber('threads that compute', { from: 1, to: 256 }), 1),
  ...tokenOptions('secret of the run, where the address lacks it', 'LOCKSTEP_TOKEN of the environment'),
  ...fleetOptions,
  wait: switchOption('wait for the coordinator where it does not answer yet'),
  ...generalOptions,
};

export type WorkerOptions = ValuesOf<typeof workerOptions>;
