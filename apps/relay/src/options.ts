/** The options of `npm run relay`. */
import {
  addressFileOptions,
  announceOptions,
  choice,
  commandText,
  coordinatorUrl,
  fleetOptions,
  generalOptions,
  lineOption,
  switchOption,
  textOption,
  tlsOptions,
  tokenOptions,
  type ValuesOf,
  wholeNumber,
  withDefaultText,
  withFallback,
} from '@lockstep/command';
import { defaultHost, defaultPort, optionBounds } from '@lockstep/train/command-line';
import { computeChoices } from '@lockstep/worker';

export const usage = commandText('relay', '--url ws://HOST:PORT [options]');
export const summary =
  'Joins a coordinator as a worker, takes workers of its own, and sends one gradient for all that they compute.';

export const relayOptions = {
  url: coordinatorUrl('address of the coordinator, or of another relay, as it prints it', 'socket or page'),
  name: withDefaultText(lineOption('NAME', 'name of this relay in the run', 80), "the machine's name"),
  host: withFallback(
    textOption('HOST', 'address to listen on; any but loopback asks workers for a token'),
    defaultHost,
  ),
  port: withDefaultText(wholeNumber('port to listen on', optionBounds.port), `${defaultPort}, or the next free one`),
  ...tokenOptions(
    'secret of the run, which its workers need as well',
    'LOCKSTEP_TOKEN of the environment; else that of the address',
  ),
  ...tlsOptions,
  ...fleetOptions,
  ...announceOptions,
  ...addressFileOptions,
  workers: withFallback(wholeNumber('workers to start on this machine', optionBounds.workers), 0),
  backend: withFallback(choice(computeChoices, 'what those compute on'), 'auto'),
  threads: withFallback(wholeNumber('threads that add gradients', optionBounds.threads), 1),
  wait: switchOption('wait for the coordinator where it does not answer yet'),
  ...generalOptions,
};

export type RelayCommandOptions = ValuesOf<typeof relayOptions>;
