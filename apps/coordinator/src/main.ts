/** The coordinator's command line: trains a model by its options. */
import { once } from 'node:events';
import { errorMessage, readCommandLine, runMain, usageFailure, version } from '@lockstep/command';
import { resolveModel, summary } from '@lockstep/nn';
import {
  isStoppedByAdmin,
  type Listening,
  type Prepared,
  prepare,
  type Trained,
  train,
  verifyRun,
} from '@lockstep/train';
import { ConfigurationError, systemClock } from '@lockstep/worker';
import colors from 'picocolors';
import { addressLines } from './address-lines.ts';
import { Display } from './display.ts';
import { openData } from './open-data.ts';
import { commandLineNames } from './option-names.ts';
import { type CommandName, type CoordinatorOptions, commands } from './options.ts';
import { resumeCommand } from './resume-command.ts';
import { saveResults } from './save-results.ts';
import { summaryLines } from './summary.ts';
import { modelText, trainOptionsOf } from './train-options.ts';

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  const command = commands[name as CommandName];
  const options: CoordinatorOptions | undefined = readCommandLine(command, args);
  if (!options) return 0;
  if (options.summary) {
    process.stdout.write(summaryOf(options.model));
    return 0;
  }
  try {
    return await run(name as CommandName, args, options);
  } catch (error) {
    if (error instanceof ConfigurationError) throw usageFailure(error.messageWith(commandLineNames(options)));
    throw error;
  }
}

function summaryOf(nameOrFile: string): string {
  const text = modelText(nameOrFile);
  try {
    return `${summary(resolveModel(text))}\n`;
  } catch (error) {
    throw usageFailure(`--model ${nameOrFile}: ${errorMessage(error)}`);
  }
}

async function run(name: CommandName, args: readonly string[], options: CoordinatorOptions): Promise<number> {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());

  const asked = trainOptionsOf(options);
  const opened = await openData(options);
  const prepared = await prepare({ ...asked, data: opened });
  const { plan, config } = prepared;
  const { nowMs } = systemClock;
  const display = new Display({
    stream: process.stdout,
    colors,
    nowMs,
    ...plan,
    epochs: config.epochs,
    data: config.data,
  });
  if (opened) display.line(opened.found);
  const listener = {
    started: () => display.started(),
    step: display.step.bind(display),
    epoch: display.epoch.bind(display),
    line: (line: string) => display.line(line),
    listening(listening: Listening) {
      for (const line of addressLines(listening, prepared)) display.line(line);
    },
    end: () => display.end(),
  };
  const trained = await train({ version, prepared, listener, signal: interruption.signal });
  const failures: string[] = [];
  let wasInterrupted = false;
  try {
    if (isStoppedByAdmin(trained.outcome)) {
      display.line(`Stopped from the dashboard after step ${trained.report.steps} of ${plan.steps}.`);
    }
    for (const line of summaryLines(trained.report, colors)) display.line(line);
    failures.push(...(await finish({ options, prepared, trained, display, signal: interruption.signal })));
    wasInterrupted = interruption.signal.aborted;
    const { outcome, checkpoint } = trained;
    if (outcome.type === 'failed' && checkpoint) {
      display.line(`Go on after step ${checkpoint.step}: ${resumeCommand(name, args)}`);
    }
    if (options.stay && !wasInterrupted) {
      display.line('The dashboard stays; Ctrl-C ends it.');
      await once(interruption.signal, 'abort');
    }
  } finally {
    await trained.close();
  }

  const { outcome } = trained;
  if (outcome.type === 'failed' && !isStoppedByAdmin(outcome)) failures.push(outcome.message);
  for (const failure of failures) process.stderr.write(`lockstep: ${failure}\n`);
  if (wasInterrupted) return 130;
  return failures.length === 0 ? 0 : 1;
}

interface Finish {
  readonly options: CoordinatorOptions;
  readonly prepared: Prepared;
  readonly trained: Trained;
  readonly display: Display;
  readonly signal: AbortSignal;
}

/** Verifies the run and writes its files, as asked for. @returns a sentence for each that failed */
async function finish({ options, prepared, trained, display, signal }: Finish): Promise<string[]> {
  const { save, report: reportFile, verify } = options;
  const { outcome, weights, report, checkpoint } = trained;
  const { steps } = report;
  const log = (line: string): void => display.line(line);
  if (save === undefined && outcome.type === 'failed' && !checkpoint) {
    log(`the model after step ${steps} was not saved: give --save FILE.safetensors to keep it`);
  }
  const verification = verify ? () => verifyRun({ prepared, report, outcome, signal, log }) : undefined;
  const snapshot = { prepared, weights, steps, version };
  return saveResults({ save, snapshot, reportFile, report, verification, log });
}

await runMain('lockstep', main);
