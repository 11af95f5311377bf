/** Simulates runs one after another, and replays the first that fails in words. */
import { generalOptions, readCommandLine, runMain, wholeNumber, withFallback } from '@lockstep/command';
import type { Simulation } from '@lockstep/training/simulator';
import { openReference, runScenario } from './scenario.ts';

const summary =
  'Runs the rules of a run in virtual time, with seeded joins, deaths, freezes and corrupt results, against the oracle.';

const simulateOptions = {
  runs: withFallback(wholeNumber('simulated runs', { from: 1, to: 1_000_000_000 }), 1_000),
  seed: withFallback(wholeNumber('seed of the first run; each further run has the next one', { from: 0 }), 1),
  ...generalOptions,
};

async function main(): Promise<number> {
  const command = { usage: 'npm run simulate -- [options]', summary, options: simulateOptions };
  const options = readCommandLine(command, process.argv.slice(2));
  if (!options) return 0;
  const backend = await openReference();
  const startedAtMs = performance.now();
  const faults = { disconnects: 0, reassigned: 0, duplicated: 0, rejected: 0 };
  for (let run = 0; run < options.runs; run++) {
    const { simulation, fault, description } = await runScenario(backend, options.seed + run);
    if (fault !== undefined) {
      process.stdout.write(`${replay(simulation)}${description}\n`);
      process.stderr.write(`lockstep: ${fault}; again with --runs 1 --seed ${options.seed + run}\n`);
      return 1;
    }
    for (const name of Object.keys(faults) as (keyof typeof faults)[]) faults[name] += simulation.state.faults[name];
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  process.stdout.write(
    `${options.runs} runs gave the oracle's weights, ${(options.runs / seconds).toFixed(1)} runs/s: ` +
      `${faults.disconnects} workers lost, ${faults.reassigned} shards reassigned, ${faults.duplicated} duplicated, ` +
      `${faults.rejected} results rejected\n`,
  );
  return 0;
}

/** What happened in a run, a line for each event. */
function replay({ events, virtualMs }: Simulation): string {
  const lines = events.map(({ type, ...rest }) => `  ${type} ${Object.values(rest).join(' ')}`.trimEnd());
  return `${lines.join('\n')}\n  ended after ${Math.round(virtualMs)} ms of virtual time\n`;
}

await runMain('simulate', main);
