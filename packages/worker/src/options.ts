/** The options of `join` in Node and of the command line of a worker. */
import {
  type Command,
  fleetOptions,
  generalOptions,
  inGroup,
  joinKinds,
  joinOptions,
  libraryKinds,
  name,
  oneOf,
  option,
  threads,
  tokenOptions,
} from '@lockstep/command/options';
import { computeChoices } from './compute-choice.ts';

/** The command line of a worker. */
export const workerCommand = {
  name: 'worker',
  args: '--url ws://HOST:PORT [options]',
  summary: 'Joins a coordinator and computes gradients for it; comes back by itself when the connection breaks.',
  options: {
    url: joinOptions.url,
    ...inGroup('distribution', {
      name: option(name, 'name of this worker in the run', { defaultText: "the machine's name", library: 'name' }),
      backend: option(oneOf(computeChoices), 'backend that computes', { default: 'auto', library: 'backend' }),
      threads: option(threads, 'threads that compute', { default: 1, library: 'threads' }),
    }),
    ...tokenOptions('secret of the run, if the address lacks it', 'LOCKSTEP_TOKEN of the environment', 'token'),
    ...fleetOptions,
    wait: joinOptions.wait,
    ...generalOptions,
  },
} as const satisfies Command;

/** The kinds of the options of `join`. */
export const kindsOfJoin = { ...libraryKinds(workerCommand.options), ...joinKinds } as const;
