/** Passes what happens in a run on to its listener, the report, the dashboard and the checkpoints. */

import type { CoordinatorState, RunEvent, StepResult, Trace } from '@lockstep/training';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Checkpointer } from '../checkpoint/checkpointer.ts';
import type { Progress } from '../checkpoint/progress.ts';
import type { Dashboard } from '../dashboard/dashboard.ts';
import type { ReportOptions } from '../report/report.ts';
import { StepExchanges } from '../report/step-exchanges.ts';
import { StepTimesRecorder } from '../report/step-times.ts';
import { TrainingCurve } from '../report/training-curve.ts';
import { type EpochRecords, EpochTracker, type EpochTrackerOptions } from './epoch-tracker.ts';
import { EventLines } from './event-lines.ts';
import type { RunListener } from './run-listener.ts';

const maxCurvePoints = 512;

export interface RunObserverOptions extends Omit<EpochTrackerOptions, 'onEpoch' | 'resumeFrom'> {
  /** Where the run goes on from. */
  readonly resumeFrom?: Checkpoint | undefined;
}

export class RunObserver {
  /** Set before the first event of a run that has a server; a run in one process has none, and prints no events. */
  dashboard: Dashboard | undefined;
  /** Set before the first step of a run that writes checkpoints. */
  checkpointer: Checkpointer | undefined;
  readonly #listener: RunListener;
  readonly #nowMs: () => number;
  readonly #eventLines: EventLines;
  readonly #epochs: EpochTracker;
  readonly #exchanges = new StepExchanges();
  readonly #stepTimes = new StepTimesRecorder();
  readonly #curve: TrainingCurve;
  readonly #resumedAtSteps: readonly number[];

  constructor(listener: RunListener, options: RunObserverOptions) {
    this.#listener = listener;
    this.#nowMs = options.nowMs;
    this.#eventLines = new EventLines(options.nowMs);
    const { resumeFrom } = options;
    this.#curve = new TrainingCurve(maxCurvePoints, resumeFrom?.progress.curve, options.targetType);
    const { step = 0, progress } = resumeFrom ?? {};
    const before = progress?.resumedAtSteps ?? [];
    this.#resumedAtSteps = step === 0 || step === options.plan.steps ? before : [...before, step];
    this.#epochs = new EpochTracker({
      ...options,
      onEpoch: (report, weights) => {
        listener.epoch(report);
        this.dashboard?.epoch(report, weights);
      },
    });
  }

  /** Called once the dashboard is there: shows it the epochs before this process that have not been evaluated. */
  evaluatePending(): void {
    this.#epochs.evaluatePending();
  }

  event(event: RunEvent, state: CoordinatorState): void {
    if (event.type === 'started') {
      this.#epochs.start();
      this.#listener.started();
    }
    // Steps of which a checkpoint says that all workers agreed have results of one that lied.
    if (event.type === 'quarantined' && event.shards > 0) this.checkpointer?.hurry();
    const line = this.dashboard && this.#eventLines.lineOf(event, state);
    if (line === undefined) return;
    this.#listener.line(`  ${line}`);
    this.dashboard?.event(line);
  }

  step(result: StepResult, state: CoordinatorState): void {
    this.#stepTimes.stepped(this.#nowMs());
    this.#epochs.step(result);
    const { seconds } = this.#epochs;
    this.#curve.add(result, seconds);
    const workers = [...state.connections.values()].filter(({ phase }) => phase === 'ready');
    this.#listener.step(result, workers.length);
    this.dashboard?.step(result, seconds);
    // Last: a checkpoint holds what all others know of the step.
    this.checkpointer?.stepped();
  }

  trace(trace: Trace): void {
    const step = this.#exchanges.trace(trace);
    if (step === undefined) return;
    this.#stepTimes.summed(step);
    this.dashboard?.summed(step);
  }

  /** As after the last step, for a checkpoint. */
  state(): Pick<Checkpoint, 'unevaluated'> & { readonly progress: Omit<Progress, 'wire'> } {
    const { progress, unevaluated } = this.#epochs.state();
    const rest = { curve: this.#curve.state(), resumedAtSteps: this.#resumedAtSteps };
    return { progress: { ...progress, ...rest }, unevaluated };
  }

  /** What the report says of the run's steps, once the last epoch has been evaluated. */
  async finish(): Promise<EpochRecords & Pick<ReportOptions, 'stepTimes' | 'curve' | 'resumedAtSteps'>> {
    const records = await this.#epochs.finish();
    const resumedAtSteps = this.#resumedAtSteps;
    return { ...records, stepTimes: this.#stepTimes.times(), curve: this.#curve.points(), resumedAtSteps };
  }
}
