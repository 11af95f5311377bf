/** The coordinator: reads its options, trains, and ends with a model, a report and a summary. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { helpText, parseOptions, runMain } from '@lockstep/command';
import { summary, writeModelFile } from '@lockstep/nn';
import { systemClock } from '@lockstep/train';
import { colors } from './colors.ts';
import { isOwnersStop } from './dashboard/actions.ts';
import { createDisplay, type Display } from './display.ts';
import { type CommandName, type CoordinatorOptions, commands } from './options.ts';
import { modelOf, type Prepared, prepare } from './prepare.ts';
import { saveFile } from './save.ts';
import { summaryLines } from './summary.ts';
import { type Trained, train } from './train.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  const command = commands[name as CommandName];
  const options: CoordinatorOptions = parseOptions(command.options, args);
  if (options.help) {
    process.stdout.write(helpText(command.usage, command.summary, command.options));
    return 0;
  }
  if (options.summary) {
    process.stdout.write(`${summary(modelOf(options.model))}\n`);
    return 0;
  }
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());

  const prepared = await prepare(options);
  const { plan, config } = prepared;
  const display = createDisplay({
    stream: process.stdout,
    colors,
    nowMs: systemClock.nowMs,
    steps: plan.steps,
    stepsPerEpoch: plan.stepsPerEpoch,
    epochs: config.epochs,
  });
  const trained = await train({ version, options, prepared, display, signal: interruption.signal });
  const wasInterrupted = interruption.signal.aborted;
  try {
    if (isOwnersStop(trained.outcome)) {
      display.line(`Stopped from the dashboard after step ${trained.report.steps} of ${plan.steps}.`);
    }
    for (const line of summaryLines(trained.report, colors)) display.line(line);
    await keep(options, prepared, trained, display);
    if (options.stay && !interruption.signal.aborted) {
      display.line('The dashboard stays; Ctrl-C ends it.');
      await once(interruption.signal, 'abort');
    }
  } finally {
    await trained.close();
  }

  const { outcome } = trained;
  if (outcome.type === 'finished' || isOwnersStop(outcome)) return 0;
  process.stderr.write(`lockstep: ${outcome.message}\n`);
  return wasInterrupted ? 130 : 1;
}

/** Writes what was asked for, and says what is kept; of a run that did not end, the model so far. */
async function keep(
  { save, report: reportFile }: CoordinatorOptions,
  { model }: Prepared,
  { outcome, weights, report }: Trained,
  display: Display,
): Promise<void> {
  if (save !== undefined) {
    const metadata = { lockstep: version, steps: `${report.steps}`, weightsSha256: report.weightsSha256 };
    await saveFile(save, writeModelFile(model, weights, metadata));
    display.line(`model after step ${report.steps} saved to ${save}`);
  } else if (outcome.type === 'failed') {
    display.line(`the model after step ${report.steps} was not saved: give --save FILE.safetensors to keep it`);
  }
  if (reportFile !== undefined) {
    await saveFile(reportFile, `${JSON.stringify(report, undefined, 2)}\n`);
    display.line(`report written to ${reportFile}`);
  }
}

await runMain('lockstep', main);
