/** The command line of a relay: relays for a run with its options, and prints what happens. */
import { hostname } from 'node:os';
import {
  commandLineNames,
  fleetFailure,
  joinFailure,
  libraryOptions,
  readCommandLine,
  requireOutputs,
  runMain,
  tlsOf,
  tokenFrom,
} from '@lockstep/command';
import { FleetError } from '@lockstep/fleet';
import { ConfigurationError, type RelayOptions, relay } from '@lockstep/train';
import { relayCommand } from '@lockstep/train/command-line';
import { JoinError } from '@lockstep/worker';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { findCoordinator, type RelayValues } from './coordinator.ts';
import { RelayLines } from './relay-lines.ts';

/** Exit code after SIGINT or SIGTERM. */
const interruptedCode = 130;

async function main(): Promise<number> {
  const options = readCommandLine(relayCommand, process.argv.slice(2));
  if (!options) return 0;
  setEngineFlags();
  const { name } = options;
  const token = tokenFrom(options, process.env['LOCKSTEP_TOKEN']);
  requireOutputs({ addresses: options.addresses });
  const coordinator = await findCoordinator(options, token);
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
  const relaying = relay(coordinator.url, { ...relayed(options), token, signal: interruption.signal });
  const log = (message: string): void => void process.stderr.write(`relay ${name ?? hostname()}: ${message}\n`);
  const lines = new RelayLines(options.addresses);
  try {
    for await (const event of relaying) for (const line of lines.of(event)) log(line);
    const { type, message } = await relaying.done;
    if (interruption.signal.aborted) return interruptedCode;
    if (type === 'finished') log(message);
    return 0;
  } catch (error) {
    if (error instanceof JoinError) throw joinFailure(error, coordinator.place);
    throw error;
  } finally {
    await coordinator.close();
  }
}

/** @throws CommandFailure with exit code 2 */
function relayed(options: RelayValues): RelayOptions {
  const { listen, ...asked }: RelayOptions = libraryOptions(relayCommand.options, options);
  return { ...asked, listen: { ...listen, tls: tlsOf(options) } };
}

await runMain('relay', main, (error) => {
  if (error instanceof FleetError) return fleetFailure(error);
  return error instanceof ConfigurationError
    ? error.messageWith(commandLineNames(relayCommand.options, {}))
    : undefined;
});
