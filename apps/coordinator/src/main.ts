/** The coordinator's command line: trains a model with its options. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import {
  CommandFailure,
  commandLineNames,
  interruptedCode,
  modelText,
  onInterruption,
  readCommandLine,
  runMain,
  saveFile,
  saveJson,
  usageFailure,
} from '@lockstep/command';
import { errorMessage } from '@lockstep/data/shown';
import { fitOf, resolveModel, summary } from '@lockstep/nn';
import {
  ConfigurationError,
  DataError,
  TrainingError,
  type TrainingResult,
  type TrainingRun,
  train,
} from '@lockstep/train';
import { defaultModel, modelFormatOf, type RunValues, runCommands, runOptions } from '@lockstep/train/command-line';
import { compileSooner, setEngineFlags } from '@lockstep/worker/own-process';
import { colorsFor, RunDisplay } from './display.ts';
import { type FleetMember, joinFleet } from './fleet.ts';
import { type CommandName, openData, resumeCommand, trainOptionsOf } from './run-options.ts';
import { summaryLines } from './summary.ts';
import { isSweep, sweepRuns } from './sweep.ts';

const colors = colorsFor(process.stdout);

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2);
  const options: RunValues | undefined = readCommandLine(runCommands[name as CommandName], args);
  if (!options) return 0;
  if (options.summary) {
    process.stdout.write(await summaryOf(options));
    return 0;
  }
  const asked = trainOptionsOf(options);
  setEngineFlags(options.vectors);
  if (options.single && options.threads === 1) compileSooner();
  else if (options.single) lowerEngineThreads();
  const opened = await openData(options);
  // Before this line, a signal ends the process by default.
  const signal = onInterruption();
  if (isSweep(options)) {
    return sweepRuns({ ...asked, ...(opened && { data: opened }), signal }, options, opened?.found).catch((error) =>
      exitOf(error, options, signal),
    );
  }
  const display = new RunDisplay(opened?.found, options.addresses);
  const fleet = await joinFleet(options, { asked, signal, log: (line) => display.line(line) });
  const stop = fleet ? AbortSignal.any([signal, fleet.deposed]) : signal;
  const run = train({ ...(fleet?.options ?? asked), ...(opened && { data: opened }), signal: stop });
  try {
    return await follow(run, { name: name as CommandName, args, options, display, fleet, signal });
  } catch (error) {
    return exitOf(error, options, signal);
  } finally {
    await run[Symbol.asyncDispose]();
    await fleet?.end(undefined);
  }
}

/** @returns the exit code of an interruption @throws CommandFailure for an impossible request; other errors as they are */
function exitOf(error: unknown, options: RunValues, signal: AbortSignal): number {
  // The signal ends a waiting standby, or a run without data, which leaves nothing behind.
  const isAbort = error instanceof Error && error.name === 'AbortError';
  if (isAbort || (signal.aborted && error === signal.reason)) return interruptedCode;
  if (error instanceof DataError) throw usageFailure(error.message);
  if (error instanceof ConfigurationError) throw usageFailure(error.messageWith(commandLineNames(runOptions, options)));
  throw error;
}

/** Summary of the model as resolved for the data. */
async function summaryOf(options: RunValues): Promise<string> {
  const data = await openData(options);
  const nameOrFile = options.model ?? defaultModel(data);
  const text = modelText(nameOrFile);
  const fit = data && fitOf(data.train.samples, data.train.targets);
  try {
    return `${data ? `${data.found}\n` : ''}${summary(resolveModel(text, fit))}\n`;
  } catch (error) {
    throw usageFailure(`--model ${nameOrFile}: ${errorMessage(error)}`);
  }
}

interface Command {
  readonly name: CommandName;
  readonly args: readonly string[];
  readonly options: RunValues;
  readonly display: RunDisplay;
  readonly fleet: FleetMember | undefined;
  readonly signal: AbortSignal;
}

/** Shows the run and the runs after it. @returns the exit code */
async function follow(run: TrainingRun, { name, args, options, display, fleet, signal }: Command): Promise<number> {
  const { result, failure } = await endOf(run, display, fleet);
  const { outcome, stoppedBy, report, checkpoint } = result;
  if (stoppedBy === 'owner') {
    display.line(`Stopped from the dashboard after step ${report.steps} of ${report.config.steps}.`);
  }
  for (const line of summaryLines(report, colors, failure?.hasDiverged, display.width)) display.sentence(line);
  const failures = await finish(result, options, display, signal);
  const wasInterrupted = signal.aborted;
  const deposed = fleet?.deposed.aborted ? errorMessage(fleet.deposed.reason) : undefined;
  if (outcome !== 'finished' && checkpoint && deposed === undefined) {
    display.line(`To resume after step ${checkpoint.step}: ${resumeCommand(name, args)}`);
  }
  if (failure) failures.push(failure.message);
  if (stoppedBy === 'program') failures.push(deposed ?? 'the coordinator was interrupted');
  // Printed before the wait: the terminal says why the run ended as soon as the page does.
  for (const text of failures) process.stderr.write(`lockstep: ${text}\n`);
  if (options.stay && !wasInterrupted) {
    display.line('The dashboard stays open; press Ctrl-C to stop it.');
    if (await followNext(run, options.addresses, signal)) return interruptedCode;
  }
  if (wasInterrupted) return interruptedCode;
  return failures.length === 0 ? 0 : 1;
}

/**
 * Shows the runs that their owner starts from the page, until a signal arrives; only the first run writes files.
 * @returns whether the signal interrupted a run
 */
async function followNext(run: TrainingRun, addressFile: string | undefined, signal: AbortSignal): Promise<boolean> {
  const interrupted = once(signal, 'abort').then(() => undefined);
  let next = await Promise.race([run.nextRun(), interrupted]);
  while (next) {
    const display = new RunDisplay(undefined, addressFile);
    const { result, failure } = await endOf(next, display, undefined);
    for (const line of summaryLines(result.report, colors, failure?.hasDiverged, display.width)) display.sentence(line);
    if (failure) process.stderr.write(`lockstep: ${failure.message}\n`);
    if (signal.aborted) return result.stoppedBy === 'program';
    next = await Promise.race([next.nextRun(), interrupted]);
  }
  return false;
}

/** Shows events until the run ends; a run that could not go on has a failure, and a result up to that point. */
async function endOf(
  run: TrainingRun,
  display: RunDisplay,
  fleet: FleetMember | undefined,
): Promise<{ readonly result: TrainingResult; readonly failure?: TrainingError }> {
  try {
    for await (const event of run) {
      display.show(event);
      if (event.type === 'listening') fleet?.announce(event);
      if (event.type === 'relays') fleet?.announceRelays(event);
    }
    const result = await run.result;
    await fleet?.end(result.outcome);
    return { result };
  } catch (error) {
    if (error instanceof TrainingError) return { result: error.result, failure: error };
    throw error;
  } finally {
    display.end();
  }
}

/**
 * Writes the model, verifies the run and writes the report, as requested; if one fails, the others are still done.
 * @returns a sentence for each failure
 */
async function finish(
  result: TrainingResult,
  { save, report: reportFile, verify }: RunValues,
  display: RunDisplay,
  signal: AbortSignal,
): Promise<string[]> {
  const { report, outcome, checkpoint } = result;
  const step = report.kept?.step ?? report.steps;
  const failures: string[] = [];
  const log = (line: string): void => display.line(line);
  const attempt = async (write: () => Promise<string>): Promise<void> => {
    try {
      log(await write());
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      failures.push(error.message);
    }
  };
  if (save === undefined) {
    if (outcome !== 'finished' && !checkpoint && report.steps > 0) {
      log(`the model after step ${step} was not saved; use --save FILE.safetensors to keep it`);
    }
  } else if (report.steps === 0) {
    // The model of an earlier run is worth more than untrained weights.
    log(`no step was taken, so nothing was saved to ${save}`);
  } else {
    await attempt(async () => {
      await saveFile(save, result.modelFile(modelFormatOf(save)));
      return `model after step ${step} saved to ${save}`;
    });
  }
  // Takes as long as the run, so it starts once the model is saved; the report includes its outcome.
  const { verified = null, failure } = verify ? await result.verify({ signal, log }) : {};
  if (failure !== undefined) failures.push(failure);
  if (reportFile !== undefined) {
    await attempt(async () => {
      await saveJson(reportFile, { ...report, verified });
      return `report written to ${reportFile}`;
    });
  }
  return failures;
}

/**
 * On Linux, gives threads started from now on a higher priority than the engine's own. When all cores compute, a
 * compute thread that waits for a core delays a whole step, but a late compilation delays none.
 */
function lowerEngineThreads(): void {
  if (process.platform !== 'linux') return;
  for (const thread of engineThreads()) {
    try {
      setPriority(thread, constants.priority.PRIORITY_LOW);
    } catch {
      // The thread has ended meanwhile.
    }
  }
}

/** All threads but the main one: the engine's, and at most a few that read files. */
function engineThreads(): number[] {
  try {
    return readdirSync('/proc/self/task')
      .map(Number)
      .filter((thread) => thread !== process.pid);
  } catch {
    return [];
  }
}

await runMain('lockstep', main);
