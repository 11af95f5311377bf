/** Passes what happens in a run on to its listener, the report, the dashboard and the checkpoints. */

import type { TargetType } from '@lockstep/nn';
import type { CoordinatorState, RunEvent, StepResult, Trace } from '@lockstep/training';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Checkpointer } from '../checkpoint/checkpointer.ts';
import type { Progress } from '../checkpoint/progress.ts';
import type { Dashboard } from '../dashboard/dashboard.ts';
import type { RelayPlace, StepEvent, TrainingEvent } from '../events.ts';
import type { ReportOptions } from '../report/report.ts';
import { StepExchanges } from '../report/step-exchanges.ts';
import { StepTimesRecorder } from '../report/step-times.ts';
import { TrainingCurve } from '../report/training-curve.ts';
import { type EpochRecords, EpochTracker, type EpochTrackerOptions } from './epoch-tracker.ts';
import { EventLines } from './event-lines.ts';

const maxCurvePoints = 512;

export interface RunObserverOptions extends Omit<EpochTrackerOptions, 'onEpoch' | 'resumeFrom'> {
  /** Where the run goes on from. */
  readonly resumeFrom?: Checkpoint | undefined;
  readonly emit: (event: TrainingEvent) => void;
  /** Called after each step. */
  readonly onStep?: ((event: StepEvent) => void) | undefined;
}

export class RunObserver {
  /** Set before the first event of a run that has a server. */
  dashboard: Dashboard | undefined;
  /** Set before the first step of a run that writes checkpoints. */
  checkpointer: Checkpointer | undefined;
  readonly #emit: (event: TrainingEvent) => void;
  readonly #onStep: (event: StepEvent) => void;
  readonly #nowMs: () => number;
  readonly #eventLines: EventLines;
  readonly #epochs: EpochTracker;
  readonly #exchanges = new StepExchanges();
  readonly #stepTimes = new StepTimesRecorder();
  readonly #curve: TrainingCurve;
  readonly #targetType: TargetType;
  readonly #resumedAtSteps: readonly number[];
  #samplesSoFar = 0;
  #relays = '[]';

  constructor(options: RunObserverOptions) {
    this.#emit = options.emit;
    this.#onStep = options.onStep ?? (() => {});
    this.#nowMs = options.nowMs;
    this.#eventLines = new EventLines(options.nowMs);
    const { resumeFrom } = options;
    this.#targetType = options.targetType;
    this.#curve = new TrainingCurve(maxCurvePoints, resumeFrom?.progress.curve, options.targetType);
    const { step = 0, progress } = resumeFrom ?? {};
    const before = progress?.resumedAtSteps ?? [];
    this.#resumedAtSteps = step === 0 || step === options.plan.steps ? before : [...before, step];
    this.#epochs = new EpochTracker({
      ...options,
      onEpoch: (report, weights) => {
        options.emit({ type: 'epoch', ...report });
        this.dashboard?.epoch(report, weights);
      },
    });
  }

  /** Called once the dashboard is there: shows it the epochs before this process that have not been evaluated. */
  evaluatePending(): void {
    this.#epochs.evaluatePending();
  }

  event(event: RunEvent, state: CoordinatorState): void {
    if (event.type === 'relayStatus' || event.type === 'left') this.#lookAtRelays(state);
    if (event.type === 'started') {
      this.#epochs.start();
      this.#emit({ type: 'started' });
      return;
    }
    // Steps of which a checkpoint says that all workers agreed have results of one that lied.
    if (event.type === 'quarantined' && event.shards > 0) this.checkpointer?.hurry();
    const message = this.#eventLines.lineOf(event, state);
    if (message === undefined || event.type === 'relayStatus') return;
    this.#emit(eventFor(event, message, state));
    this.dashboard?.event(message);
  }

  /**
   * Passes on what the run goes on without.
   * @param guestLine what those see who may only watch: it names nothing of this machine
   */
  warn(message: string, guestLine: string): void {
    this.#emit({ type: 'warning', message });
    this.dashboard?.event(guestLine, message);
  }

  step(result: StepResult, state: CoordinatorState): void {
    // A relay that had no worker goes without an event.
    if (this.#relays !== '[]') this.#lookAtRelays(state);
    this.#stepTimes.stepped(this.#nowMs());
    this.#epochs.step(result);
    const { seconds } = this.#epochs;
    this.#curve.add(result, seconds);
    const workers = [...state.connections.values()].filter(({ phase }) => phase === 'ready');
    this.#samplesSoFar += result.count;
    const event: StepEvent = {
      type: 'step',
      step: result.step + 1,
      epoch: result.epoch + 1,
      loss: result.loss,
      accuracy: this.#targetType === 'classes' ? result.correct / result.count : null,
      samples: result.count,
      samplesSoFar: this.#samplesSoFar,
      workers: workers.length,
    };
    this.#onStep(event);
    this.#emit(event);
    this.dashboard?.step(result, seconds);
    // Last: a checkpoint holds what all others know of the step.
    this.checkpointer?.stepped();
  }

  #lookAtRelays(state: CoordinatorState): void {
    const relays = relaysOf(state);
    const text = JSON.stringify(relays);
    if (text === this.#relays) return;
    this.#relays = text;
    this.#emit({ type: 'relays', relays });
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

/** Those that are connected and can be joined. */
function relaysOf({ connections, records }: CoordinatorState): RelayPlace[] {
  return [...connections.values()].flatMap(({ phase, workerId = '' }) => {
    const { address, workersBehind = 0 } = records.get(workerId) ?? {};
    return phase !== 'handshake' && address !== undefined ? [{ address, workers: workersBehind }] : [];
  });
}

/** The event for the program that started the run. */
function eventFor(
  event: Exclude<RunEvent, { type: 'started' | 'relayStatus' }>,
  message: string,
  { records }: CoordinatorState,
): TrainingEvent {
  const workerOf = (id: string) => ({ id, name: records.get(id)?.name ?? 'an unknown client' });
  switch (event.type) {
    case 'joined': {
      const { kind = 'node', backend = 'unknown', threads = 1 } = records.get(event.workerId) ?? {};
      const worker = { ...workerOf(event.workerId), kind, backend, threads };
      return { type: 'joined', message, worker, returned: event.returned };
    }
    case 'renamed':
      return { type: 'renamed', message, worker: workerOf(event.workerId), before: event.before };
    case 'left':
    case 'slowLink':
      return { type: event.type, message, worker: workerOf(event.workerId) };
    case 'rejected': {
      const worker = event.workerId === undefined ? undefined : workerOf(event.workerId);
      return { type: 'rejected', message, worker };
    }
    case 'late':
      return { type: 'late', message, worker: workerOf(event.workerId), step: event.step + 1 };
    case 'quarantined':
      return { type: 'quarantined', message, worker: workerOf(event.workerId), shards: event.shards };
    case 'injectFault':
      return { type: 'injectFault', message, worker: workerOf(event.workerId), action: event.action };
    case 'paused':
    case 'resumed':
    case 'pauseRequested':
      return { type: event.type, message };
    default:
      return event satisfies never;
  }
}
