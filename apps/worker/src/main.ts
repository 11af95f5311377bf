/** The Node worker's command line: joins a run with its options, and prints what happens. */
import { libraryOptions, readCommandLine, runMain, takePart } from '@lockstep/command';
import { openFleet } from '@lockstep/fleet';
import { join, joinAddress } from '@lockstep/worker';
import { workerCommand } from '@lockstep/worker/options';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { WorkerLines } from './worker-lines.ts';

const progressEveryMs = 30_000;

async function main(): Promise<number> {
  const options = readCommandLine(workerCommand, process.argv.slice(2));
  if (!options) return 0;
  setEngineFlags(options.vectors);
  const lines = new WorkerLines(progressEveryMs);
  return takePart({
    program: 'worker',
    options,
    addressOf: (url) => joinAddress(url, {}).url,
    async openFleet(where, token) {
      const fleet = await openFleet({ ...where, role: 'worker' });
      return { place: fleet.place, source: fleet.finder({ token, random: Math.random }), close: () => fleet.close() };
    },
    join: (coordinator, rest) => join(coordinator, { ...libraryOptions(workerCommand.options, options), ...rest }),
    linesOf: (event) => lines.of(event, performance.now()),
  });
}

await runMain('worker', main);
