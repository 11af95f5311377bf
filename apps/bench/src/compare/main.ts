/** `npm run compare`. Exit code 0: measured; 1: something failed or computed wrongly; 2: a wrong command line. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCommandLine, requireOutputs, runMain, saveFile, saveJson, usageFailure, version } from '@lockstep/command';
import { loadTrainingSet } from '../mnist.ts';
import { type CompareOptions, compareCommand } from '../options.ts';
import { terminalOutput } from '../output.ts';
import { type CompareContext, compare } from './compare.ts';
import { gridOf, runDataOf, writeRunData } from './grid.ts';
import { pageOf } from './html.ts';
import { stopAll } from './lockstep-run.ts';
import { predictAndCheck } from './predict.ts';
import { isSound } from './results.ts';

async function main(): Promise<number> {
  const options = readCommandLine(compareCommand, process.argv.slice(2));
  if (!options) return 0;
  requireConsistent(options);
  const grid = gridOf(options);
  const all = await loadTrainingSet(options.data);
  const tooLarge = grid.find(({ batch }) => batch > all.count);
  if (tooLarge) {
    const expected = `expected at most the ${all.count} samples of the training set`;
    throw usageFailure(`--batch: ${expected}, got ${tooLarge.batch}`);
  }
  const { signal } = interruption();
  const train = options.predict ? all : runDataOf(all, grid);
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-compare-'));
  try {
    const context = { options, grid, train, folder, output: terminalOutput(), version, signal };
    if (!options.predict) await writeRunData(train, folder);
    return await measure(context);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write('lockstep: interrupted, nothing was written\n');
    return 130;
  } finally {
    stopAll();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(context: CompareContext): Promise<number> {
  const { predict, report: file, html } = context.options;
  if (predict) {
    const prediction = await predictAndCheck(context);
    if (file !== undefined) await saveJson(file, prediction);
    return 0;
  }
  const report = await compare(context);
  const { output } = context;
  if (file !== undefined) {
    await saveJson(file, report);
    output.print(`report written to ${file}`);
  }
  await saveFile(html, pageOf(report));
  output.print(`page with the plots written to ${html}`);
  return isSound(report.results) ? 0 : 1;
}

/** Aborts and ends the current runs when the process is asked to end. */
function interruption(): AbortController {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      controller.abort(new Error('interrupted'));
      stopAll();
    });
  }
  return controller;
}

/** Fails now instead of after minutes of measuring. */
function requireConsistent(options: CompareOptions): void {
  requireOutputs({ report: options.report, html: options.html });
  const { speeds, workers } = options;
  if (speeds !== undefined && workers !== undefined && speeds.length !== workers) {
    throw usageFailure(`--speeds: expected one for each of ${workers} workers, got ${speeds.length}`);
  }
}

await runMain('lockstep', main);
