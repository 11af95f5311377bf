/** The command line of a relay: relays for a run with its options, and prints what happens. */
import {
  commandLineNames,
  libraryOptions,
  readCommandLine,
  requireOutputs,
  runMain,
  takePart,
  tlsOf,
  type ValuesOf,
} from '@lockstep/command';
import { openFleet } from '@lockstep/fleet';
import { type RelayOptions, relay } from '@lockstep/train';
import { relayCommand } from '@lockstep/train/command-line';
import { joinAddress } from '@lockstep/worker';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { RelayLines } from './relay-lines.ts';

async function main(): Promise<number> {
  const options = readCommandLine(relayCommand, process.argv.slice(2));
  if (!options) return 0;
  setEngineFlags();
  requireOutputs({ addresses: options.addresses });
  const lines = new RelayLines(options.addresses);
  return takePart({
    program: 'relay',
    options,
    addressOf: (url) => joinAddress(url, {}).url,
    async openFleet(where, token) {
      const fleet = await openFleet({ ...where, role: 'worker' });
      // The finder skips relays: two relays that join each other would belong to no run.
      return { place: fleet.place, source: fleet.finder({ token }), close: () => fleet.close() };
    },
    join: (coordinator, rest) => relay(coordinator, { ...relayed(options), ...rest }),
    linesOf: (event) => lines.of(event),
  });
}

/** @throws CommandFailure with exit code 2 */
function relayed(options: ValuesOf<typeof relayCommand.options>): RelayOptions {
  const { listen, ...asked }: RelayOptions = libraryOptions(relayCommand.options, options);
  return { ...asked, listen: { ...listen, tls: tlsOf(options) } };
}

await runMain('relay', main, commandLineNames(relayCommand.options, {}));
