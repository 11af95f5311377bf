/** The coordinator's command line: trains a model by its options. */
import { once } from 'node:events';
import { readCommandLine, runMain, version } from '@lockstep/command';
import { summary } from '@lockstep/nn';
import { systemClock } from '@lockstep/train';
import colors from 'picocolors';
import { isStoppedByAdmin } from './dashboard/admin-actions.ts';
import { Display } from './display.ts';
import { type CommandName, type CoordinatorOptions, commands } from './options.ts';
import { modelOf, type Prepared, prepare } from './prepare.ts';
import { saveFile, saveModel } from './save-file.ts';
import { summaryLines } from './summary.ts';
import { type Trained, train } from './train.ts';

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  const command = commands[name as CommandName];
  const options: CoordinatorOptions | undefined = readCommandLine(command, args);
  if (!options) return 0;
  if (options.summary) {
    process.stdout.write(`${summary(modelOf(options.model))}\n`);
    return 0;
  }
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());

  const prepared = await prepare(options);
  const { plan, config } = prepared;
  const { nowMs } = systemClock;
  const display = new Display({ stream: process.stdout, colors, nowMs, ...plan, epochs: config.epochs });
  const trained = await train({ version, options, prepared, display, signal: interruption.signal });
  const wasInterrupted = interruption.signal.aborted;
  try {
    if (isStoppedByAdmin(trained.outcome)) {
      display.line(`Stopped from the dashboard after step ${trained.report.steps} of ${plan.steps}.`);
    }
    for (const line of summaryLines(trained.report, colors)) display.line(line);
    await saveResults(options, prepared, trained, display);
    if (options.stay && !interruption.signal.aborted) {
      display.line('The dashboard stays; Ctrl-C ends it.');
      await once(interruption.signal, 'abort');
    }
  } finally {
    await trained.close();
  }

  const { outcome } = trained;
  if (outcome.type === 'finished' || isStoppedByAdmin(outcome)) return 0;
  process.stderr.write(`lockstep: ${outcome.message}\n`);
  return wasInterrupted ? 130 : 1;
}

/** Writes the files that were asked for, and prints where; of a run that did not end, the model so far. */
async function saveResults(
  { save, report: reportFile }: CoordinatorOptions,
  { model }: Prepared,
  { outcome, weights, report }: Trained,
  display: Display,
): Promise<void> {
  const { steps } = report;
  if (save !== undefined) {
    display.line(await saveModel(save, { model, weights, steps, version }));
  } else if (outcome.type === 'failed') {
    display.line(`the model after step ${steps} was not saved: give --save FILE.safetensors to keep it`);
  }
  if (reportFile !== undefined) {
    await saveFile(reportFile, `${JSON.stringify(report, undefined, 2)}\n`);
    display.line(`report written to ${reportFile}`);
  }
}

await runMain('lockstep', main);
