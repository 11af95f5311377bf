/** `npm run bench`. Exit code 0: measured; 1: something failed or computed wrongly; 2: a wrong command line. */
import { readCommandLine, requireOutputs, runMain, saveJson } from '@lockstep/command';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { benchmarks } from './benchmarks.ts';
import { benchCommand } from './options.ts';
import { terminalOutput } from './output.ts';
import { isSound, runBenchmarks } from './run-benchmarks.ts';

async function main(): Promise<number> {
  const options = readCommandLine(benchCommand, process.argv.slice(2));
  if (!options) return 0;
  setEngineFlags();
  const { benchmark, rounds, report: file } = options;
  requireOutputs({ report: file });
  const chosen = benchmarks.filter(({ name }) => benchmark.includes(name));
  const effort = { rounds, burstMs: 100, warmUpMs: 300, budgetMs: 5_000 };
  const report = await runBenchmarks(chosen, effort, terminalOutput());
  if (file !== undefined) await saveJson(file, report);
  return isSound(report) ? 0 : 1;
}

await runMain('lockstep', main);
