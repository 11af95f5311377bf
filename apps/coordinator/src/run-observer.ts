/** Passes what happens in a run on to the terminal, the report and the dashboard. */
import type { ReportOptions } from '@lockstep/train';
import type { CoordinatorState, RunEvent, StepResult, Trace } from '@lockstep/training';
import type { Dashboard } from './dashboard/dashboard.ts';
import type { Display } from './display.ts';
import { type EpochRecords, EpochTracker, type EpochTrackerOptions } from './epoch-tracker.ts';
import { EventLines } from './event-lines.ts';
import { StepExchanges } from './step-exchanges.ts';
import { StepTimesRecorder } from './step-times.ts';
import { TrainingCurve } from './training-curve.ts';

const maxCurvePoints = 512;

export class RunObserver {
  /** Set before the first event of a run that has a server; a run in one process has none, and prints no events. */
  dashboard: Dashboard | undefined;
  readonly #display: Display;
  readonly #nowMs: () => number;
  readonly #eventLines: EventLines;
  readonly #epochs: EpochTracker;
  readonly #exchanges = new StepExchanges();
  readonly #stepTimes = new StepTimesRecorder();
  readonly #curve = new TrainingCurve(maxCurvePoints);

  constructor(display: Display, options: Omit<EpochTrackerOptions, 'onEpoch'>) {
    this.#display = display;
    this.#nowMs = options.nowMs;
    this.#eventLines = new EventLines(options.nowMs);
    this.#epochs = new EpochTracker({
      ...options,
      onEpoch: (report, weights) => {
        display.epoch(report);
        this.dashboard?.epoch(report, weights);
      },
    });
  }

  event(event: RunEvent, state: CoordinatorState): void {
    if (event.type === 'started') {
      this.#epochs.start();
      this.#display.started();
    }
    const line = this.dashboard && this.#eventLines.lineOf(event, state);
    if (line === undefined) return;
    this.#display.line(`  ${line}`);
    this.dashboard?.event(line);
  }

  step(result: StepResult, state: CoordinatorState): void {
    this.#stepTimes.stepped(this.#nowMs());
    this.#epochs.step(result);
    const { seconds } = this.#epochs;
    this.#curve.add(result, seconds);
    const workers = [...state.connections.values()].filter(({ phase }) => phase === 'ready');
    this.#display.step(result, workers.length);
    this.dashboard?.step(result, seconds);
  }

  trace(trace: Trace): void {
    const step = this.#exchanges.trace(trace);
    if (step === undefined) return;
    this.#stepTimes.summed(step);
    this.dashboard?.summed(step);
  }

  /** What the report says of the run's steps, once the last epoch has been evaluated. */
  async finish(): Promise<EpochRecords & Pick<ReportOptions, 'stepTimes' | 'curve'>> {
    const records = await this.#epochs.finish();
    return { ...records, stepTimes: this.#stepTimes.times(), curve: this.#curve.points() };
  }
}
