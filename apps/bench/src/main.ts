/**
 * `npm run bench` and `npm run compare`. Exit code 0: measured; 1: something failed or computed wrongly; 2: a wrong
 * command line.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  interruptedCode,
  onInterruption,
  readCommandLine,
  requireOutputs,
  runMain,
  saveFile,
  saveJson,
  usageFailure,
} from '@lockstep/command';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { benchCommand, benchmarks, isSound, runBenchmarks } from './bench.ts';
import { serveWorkers } from './cases/runs.ts';
import { loadText, loadTrainingSet } from './cases/steps.ts';
import { type CompareContext, compare, compareCommand } from './compare/compare.ts';
import { gridOf } from './compare/grid.ts';
import { pageOf } from './compare/html.ts';
import { stopAll } from './compare/measure.ts';
import { predictAndCheck } from './compare/predict.ts';
import { areSound } from './compare/results.ts';
import { terminalOutput } from './harness.ts';

async function benchProgram(args: readonly string[]): Promise<number> {
  const options = readCommandLine(benchCommand, args);
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

async function compareProgram(args: readonly string[]): Promise<number> {
  const options = readCommandLine(compareCommand, args);
  if (!options) return 0;
  // Fails now instead of after minutes of measuring.
  requireOutputs({ report: options.report, html: options.html });
  const { speeds, workers } = options;
  if (speeds !== undefined && workers !== undefined && speeds.length !== workers) {
    throw usageFailure(`--speeds: expected one for each of ${workers} workers, got ${speeds.length}`);
  }
  const sources = { images: await loadTrainingSet(options.data), text: loadText() };
  const grid = gridOf(options, sources.text);
  const { count } = sources.images;
  const tooLarge = grid.find(({ batch }) => batch > count);
  if (tooLarge) {
    const expected = `expected at most the ${count} samples of the training set`;
    throw usageFailure(`--batch: ${expected}, got ${tooLarge.batch}`);
  }
  const signal = onInterruption();
  signal.addEventListener('abort', stopAll);
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-compare-'));
  try {
    const context = { options, grid, sources, folder, output: terminalOutput(), signal };
    if (!options.predict) return await measureGrid(context);
    const prediction = await predictAndCheck(context);
    if (options.report !== undefined) await saveJson(options.report, prediction);
    return 0;
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write('lockstep: interrupted, nothing was written\n');
    return interruptedCode;
  } finally {
    stopAll();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureGrid(context: CompareContext): Promise<number> {
  const { output, options } = context;
  const report = await compare(context);
  if (options.report !== undefined) {
    await saveJson(options.report, report);
    output.print(`report written to ${options.report}`);
  }
  await saveFile(options.html, pageOf(report));
  output.print(`page with the plots written to ${options.html}`);
  return areSound(report.results) ? 0 : 1;
}

const programs: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  bench: benchProgram,
  compare: compareProgram,
  /** The workers of `cases/runs.ts`, in a process of their own. */
  workers: serveWorkers,
};

const [name = '', ...args] = process.argv.slice(2);
await runMain('lockstep', () => programs[name]!(args));
