/** `npm run compare`. Exit code 0: measured; 1: something failed or computed wrongly; 2: a wrong command line. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { helpText, parseOptions, runMain, usageFailure } from '@lockstep/command';
import { DataError, type Dataset } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { terminalOutput } from '../terminal.ts';
import { compare } from './compare.ts';
import { gridOf } from './grid.ts';
import { stopAll } from './lockstep-run.ts';
import { type CompareOptions, compareOptions, summary, usage } from './options.ts';
import { pageOf } from './page/page.ts';
import { predictAndCheck } from './predict/command.ts';
import { isSound } from './results.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

async function main(): Promise<number> {
  const options = parseOptions(compareOptions, process.argv.slice(2));
  if (options.help) {
    process.stdout.write(helpText(usage, summary, compareOptions));
    return 0;
  }
  requireSense(options);
  const grid = gridOf(options);
  const { train } = await dataOf(options.data);
  for (const { batch } of grid) {
    if (batch > train.count) {
      throw usageFailure(`--batch: expected at most the ${train.count} samples of the training set, got ${batch}`);
    }
  }
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interruption.abort(new Error('interrupted'));
      stopAll();
    });
  }
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-compare-'));
  const output = terminalOutput();
  const asked = { options, grid, train, folder, output, version, signal: interruption.signal };
  try {
    if (options.predict) {
      const prediction = await predictAndCheck(asked);
      if (options.report !== undefined) await writeJson(options.report, prediction);
      return 0;
    }
    const report = await compare(asked);
    if (options.report !== undefined) {
      await writeJson(options.report, report);
      output.print(`report written to ${options.report}`);
    }
    await writeFile(options.html, pageOf(report));
    output.print(`page with the plots written to ${options.html}`);
    return isSound(report.results) ? 0 : 1;
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    process.stderr.write('lockstep: interrupted, nothing was written\n');
    return 130;
  } finally {
    stopAll();
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeJson(file: string, content: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(content, undefined, 2)}\n`);
}

/** What would be noticed only after minutes of measuring. */
function requireSense(options: CompareOptions): void {
  for (const name of ['report', 'html'] as const) requireWritable(name, options[name]);
  for (const name of ['link', 'latency', 'speeds'] as const) {
    if (options[name] === undefined || options.predict) continue;
    throw usageFailure(`--${name}: expected together with --predict`);
  }
  if (options.latency !== undefined && options.link === undefined) {
    throw usageFailure('--latency: expected together with --link');
  }
  const { speeds, workers } = options;
  if (speeds !== undefined && workers !== undefined && speeds.length !== workers) {
    throw usageFailure(`--speeds: expected one for each of ${workers} workers, got ${speeds.length}`);
  }
}

function requireWritable(option: string, file: string | undefined): void {
  if (file === undefined) return;
  try {
    accessSync(dirname(resolve(file)), constants.W_OK);
  } catch {
    throw usageFailure(`--${option}: expected a file in a folder that can be written to, got ${file}`);
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) {
    throw usageFailure(`--${option}: expected a file, got the folder ${file}`);
  }
}

async function dataOf(directory: string | undefined): Promise<{ readonly train: Dataset }> {
  try {
    return await loadMnist(directory);
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

await runMain('lockstep', main);
