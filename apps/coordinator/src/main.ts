/** The coordinator's command line: trains a model by its options. */
import { once } from 'node:events';
import { readCommandLine, runMain, version } from '@lockstep/command';
import { summary } from '@lockstep/nn';
import { systemClock } from '@lockstep/train';
import colors from 'picocolors';
import { resumeCommand } from './checkpoint/resume-command.ts';
import { isStoppedByAdmin } from './dashboard/admin-actions.ts';
import { Display } from './display.ts';
import { type CommandName, type CoordinatorOptions, commands } from './options.ts';
import { dataOf, modelOf, type Prepared, prepare } from './prepare.ts';
import { saveResults } from './save-results.ts';
import { summaryLines } from './summary.ts';
import { type Trained, train } from './train.ts';
import { verifyRun } from './verify.ts';

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  const command = commands[name as CommandName];
  const options: CoordinatorOptions | undefined = readCommandLine(command, args);
  if (!options) return 0;
  if (options.summary) {
    const { train: data } = await dataOf(options.data);
    process.stdout.write(`${summary(modelOf(options.model, data))}\n`);
    return 0;
  }
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());

  const prepared = await prepare(options);
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
  const trained = await train({ version, options, prepared, display, signal: interruption.signal });
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
      display.line(`Go on after step ${checkpoint.step}: ${resumeCommand(name as CommandName, args)}`);
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
