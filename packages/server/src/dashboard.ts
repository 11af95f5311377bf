/** Shows a run to its viewers, within a small share of the process's time. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { ParameterServer } from '@lockstep/compute';
import { metadataOf, type Prepared } from '@lockstep/prepare';
import {
  bytesOf,
  encodeWatch,
  type RunMessage,
  toMessageText,
  type WatchMessageFrom,
  type WatchMessageOf,
} from '@lockstep/protocol';
import {
  type CurvePoint,
  type EpochReport,
  evenly,
  type RecordedEvent,
  type Report,
  type RunRecord,
} from '@lockstep/record';
import { sha256 } from '@lockstep/record/node';
import type { HostBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import type { WebSocket } from 'ws';
import type { TurnedAwayCounts } from './limiter.ts';
import {
  type EarlierRun,
  type EarlierRuns,
  evaluatorOf,
  finiteReport,
  pointBytes,
  progressMessage,
  runMessage,
  runSettingsOf,
  workerTable,
} from './messages.ts';
import { OwnerActions, type OwnerActionsOptions } from './owner.ts';
import type { Visit } from './sockets.ts';
import { type Permission, type ViewerLimits, Viewers } from './viewers.ts';

export interface DashboardOptions extends OwnerActionsOptions, EvaluationFeedOptions {
  readonly prepared: Prepared;
  readonly earlierRuns: EarlierRuns;
  readonly permission: Permission;
  readonly turnedAway: TurnedAwayCounts;
  /** Addresses to join at, without secrets. */
  readonly joinAddresses: readonly string[];
  readonly joinCode: string | undefined;
  readonly viewerLimits?: Partial<ViewerLimits> | undefined;
}

const tickMs = 100;
const workersEveryMs = 250;
const timelineEveryMs = 500;
/** Interval of progress messages while nothing happens. */
const idleEveryMs = 1_000;
/** Share of this process's time for viewers; the same process adds gradients. */
const viewersPart = 0.02;
/** Longest time between two updates of a viewer, however many viewers there are. */
const maxPauseMs = 2_000;
const maxEpochs = 400;
/** The end of a run waits this long for the evaluation that viewers see last. */
const maxLastEvaluationMs = 5_000;
/** Weights up to this size are sent to all viewers at the end, because the server may be gone when they ask. */
const maxFinalWeightsBytes = 4 * 2 ** 20;

export class Dashboard {
  readonly #options: DashboardOptions;
  readonly #about: RunMessage;
  readonly #viewers: Viewers;
  readonly #evaluation: EvaluationFeed;
  readonly #weights: WeightsFeed;
  readonly #budget = new PauseBudget(systemClock.nowMs);
  readonly #timer: NodeJS.Timeout;
  #result: WatchMessageOf<'result'> | undefined;
  /** Number of steps whose points have been sent to viewers. */
  #shownSteps = 0;
  #shown = '';
  #shownTimelineStep = -1;
  #progressAtMs = 0;
  #workersAtMs = 0;
  #timelineAtMs = 0;

  constructor(options: DashboardOptions) {
    const { prepared, run, recorder, permission, turnedAway, joinCode, onError } = options;
    this.#options = options;
    this.#about = {
      ...runMessage(prepared, run.state.setup.faultInjection === true),
      joinAddresses: [...options.joinAddresses],
    };
    const actions = new OwnerActions(options);
    this.#viewers = new Viewers({
      ...{ permission, turnedAway, joinCode, onError },
      limits: options.viewerLimits,
      snapshot: () => this.#snapshot(),
      onWelcome: (sendSnapshot) => this.#welcome(sendSnapshot),
      reply: (request) => actions.reply(request),
    });
    this.#evaluation = new EvaluationFeed(options, this.#viewers);
    this.#weights = new WeightsFeed(options.parameterServer);
    this.#timer = setInterval(() => {
      if (this.#viewers.connections > 0 && this.#budget.isDue) this.#budget.spend(() => this.#update());
    }, tickMs);
    this.#timer.unref();
    recorder.data.timing.isWatched = true;
    recorder.subscribe((event) => this.#show(event));
  }

  /** Figures for metrics. */
  get figures() {
    const { size, queuedBytes } = this.#viewers;
    return { viewers: size, queuedBytes };
  }

  addViewer(socket: WebSocket, visit: Visit): void {
    this.#viewers.add(socket, visit);
  }

  /** The part of this run for the chart of the next run. */
  earlierRun(): EarlierRun {
    const { prepared, run, recorder } = this.#options;
    const { steps, curve, epochs, kept } = recorder.data;
    const workers = [...run.state.records.values()].filter(({ shards }) => shards > 0);
    const settings = runSettingsOf(prepared, workers.length);
    const { stepsPerEpoch } = this.#about;
    return {
      ...{ settings, stepsPerEpoch, steps, points: curve.points(), epochs: epochs.map(finiteReport) },
      ...(kept && { keptEpoch: kept.epoch }),
    };
  }

  /** Resolves once viewers have the evaluation of the last epoch, after `maxLastEvaluationMs` at the latest. */
  lastEvaluation(): Promise<unknown> {
    const timeOut = new AbortController();
    const late = sleep(maxLastEvaluationMs, undefined, { signal: timeOut.signal }).catch(() => {});
    return Promise.race([this.#evaluation.idle(), late]).finally(() => timeOut.abort());
  }

  /** Sends the final state of the run, and nothing after it. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#viewers.size === 0) return;
    this.#broadcastProgress();
    this.#viewers.broadcast(this.#workers());
  }

  #show(event: RecordedEvent): void {
    switch (event.type) {
      case 'line':
        this.#budget.spend(() => {
          this.#viewers.broadcast({ type: 'event', message: toMessageText(event.line) }, 'guest');
          this.#viewers.broadcast({ type: 'event', message: toMessageText(event.ownerLine) }, 'owner');
        });
        return;
      case 'evaluated':
        this.#evaluated(event.report, event.weights);
        return;
      case 'sample':
        this.#viewers.broadcast(event);
        return;
      case 'wentBack':
        this.#goBack();
        return;
      case 'checkpoint':
        this.#viewers.broadcast(this.#checkpoint()!);
        return;
      case 'report':
        this.#leave(event.report);
        return;
      default:
      // The record shows the page everything else at the next update.
    }
  }

  /** @param weights kept if that is cheap */
  #evaluated(report: EpochReport, weights: Float32Array): void {
    this.#viewers.broadcast({ type: 'epoch', report: finiteReport(report) });
    // The outputs of a diverged model mean nothing.
    if (!Number.isFinite(report.testLoss)) return;
    // The end of the run adds the last evaluation, whose samples of up to 1 MiB must not delay the final weights.
    this.#evaluation.add({ epoch: report.epoch, weights, isLast: false });
  }

  /** Replaces what viewers have of the steps that are taken again. */
  #goBack(): void {
    this.#evaluation.clear();
    this.#weights.clear();
    this.#shownSteps = 0;
    this.#newPoints();
    for (const message of this.#course()) this.#viewers.broadcast(message);
  }

  #checkpoint(): WatchMessageOf<'checkpoint'> | undefined {
    const { checkpoint } = this.#options.recorder.data;
    return checkpoint && { type: 'checkpoint', ...checkpoint };
  }

  /** Sends the report and the kept weights. */
  #leave(report: Report): void {
    const { prepared, recorder } = this.#options;
    const { kept, epochs, metrics, weightsSha256 } = report;
    const { step, weights } = recorder.data.final!;
    const bytes = bytesOf(weights);
    this.#weights.end(recorder.data.final!, weightsSha256);
    // The last progress may have the hash of earlier weights, and the server may close before the next one.
    this.#viewers.broadcast(this.#progress(this.#newPoints()));
    if (bytes.byteLength <= maxFinalWeightsBytes) this.#viewers.broadcast({ type: 'weights', step, bytes });
    const encoder = new TextEncoder();
    const json = encoder.encode(`${JSON.stringify(boundedReport(report), null, 2)}\n`);
    const metadata = encoder.encode(JSON.stringify(metadataOf({ prepared, weightsSha256, steps: step })));
    this.#result = { type: 'result', step, report: json, metadata };
    this.#viewers.broadcast(this.#result);
    const epoch = kept?.epoch ?? (metrics ? epochs.at(-1)?.epoch : undefined);
    if (epoch !== undefined) this.#evaluation.add({ epoch, weights, isLast: true });
  }

  #welcome(sendSnapshot: () => void): void {
    // The snapshot has every point so far; a page ignores points that it already has.
    if (this.#viewers.size === 1) this.#newPoints();
    this.#weights.refreshHash(this.#options.run.state.current.step);
    this.#budget.spend(sendSnapshot);
    this.#evaluation.refresh();
  }

  #snapshot(): WatchMessageFrom<'coordinator'>[] {
    const { recorder } = this.#options;
    const { lines, timing } = recorder.data;
    const earlier = this.#options.earlierRuns.message();
    const optional = [earlier, timing.timeline, this.#evaluation.message, this.#checkpoint(), this.#result];
    return [
      this.#about,
      ...this.#course(lines.map((line) => toMessageText(line))),
      this.#workers(),
      ...optional.filter((message) => message !== undefined),
      this.#progress([]),
    ];
  }

  /** Messages with all curves, epochs and texts so far. @param events lines of the log; by default pages keep theirs */
  #course(events?: string[]): (WatchMessageOf<'history'> | WatchMessageOf<'sample'>)[] {
    const { prepared, recorder } = this.#options;
    const { curve, epochs, kept, samples = [] } = recorder.data;
    const shown = new Set(evenly(epochs, maxEpochs));
    const shownEpochs = epochs.filter((one) => shown.has(one) || one.epoch === kept?.epoch).map(finiteReport);
    const points = pointBytes(curve.points());
    return [
      { type: 'history', points, epochs: shownEpochs, ...(events && { events }) },
      ...samples.map((sample) => ({ type: 'sample', prompt: prepared.config.prompt ?? '', ...sample }) as const),
    ];
  }

  /** The points since the last call. */
  #newPoints(): readonly CurvePoint[] {
    const points = this.#options.recorder.data.curve.pointsAfter(this.#shownSteps);
    this.#shownSteps = points.at(-1)?.steps ?? this.#shownSteps;
    return points;
  }

  #update(): void {
    this.#viewers.refresh();
    // Viewers that have fallen behind get a snapshot later.
    if (!this.#viewers.anyKeepsUp) return;
    const nowMs = systemClock.nowMs();
    this.#broadcastProgress();
    if (nowMs - this.#workersAtMs >= workersEveryMs) {
      this.#workersAtMs = nowMs;
      this.#viewers.broadcast(this.#workers());
    }
    const { timeline } = this.#options.recorder.data.timing;
    if (timeline && timeline.step !== this.#shownTimelineStep && nowMs - this.#timelineAtMs >= timelineEveryMs) {
      this.#timelineAtMs = nowMs;
      this.#shownTimelineStep = timeline.step;
      this.#viewers.broadcast(timeline);
    }
    this.#weights.serve(this.#viewers, this.#options.run.state.current.step);
  }

  #broadcastProgress(): void {
    const nowMs = systemClock.nowMs();
    const { run, recorder } = this.#options;
    const { phase, pauseRequested, current } = run.state;
    const shown = `${phase} ${recorder.data.ending?.type} ${pauseRequested} ${current.step}`;
    if (shown === this.#shown && nowMs - this.#progressAtMs < idleEveryMs) return;
    this.#weights.refreshHash(current.step);
    this.#viewers.broadcast(this.#progress(this.#newPoints()));
    this.#progressAtMs = nowMs;
    this.#shown = shown;
  }

  #progress(points: readonly CurvePoint[]): WatchMessageOf<'progress'> {
    const { run, recorder } = this.#options;
    return progressMessage(run.state, this.#about, recorder.data, this.#weights, points);
  }

  #workers(): WatchMessageOf<'workers'> {
    const { run, recorder } = this.#options;
    const { timing } = recorder.data;
    return { type: 'workers', workers: workerTable(run.state, (workerId) => timing.averagesOf(workerId)) };
  }
}

/** Maximum number of classes whose metrics viewers get. */
const maxMeasuredClasses = 1_000;

/** The report, without the metrics of single classes if there are very many. */
function boundedReport(report: Report): Report {
  const { metrics } = report;
  if (!metrics || !('classes' in metrics) || metrics.classes.length <= maxMeasuredClasses) return report;
  const { validationMetrics: _, ...rest } = report;
  return { ...rest, metrics: { ...metrics, classes: [] } };
}

/** Keeps work for viewers within `viewersPart` of the time, by pauses of at most `maxPauseMs`. */
export class PauseBudget {
  readonly #nowMs: () => number;
  #dueAtMs = Number.NEGATIVE_INFINITY;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether the pause for earlier work is over. */
  get isDue(): boolean {
    return this.#nowMs() >= this.#dueAtMs;
  }

  spend(work: () => void): void {
    const startedAtMs = this.#nowMs();
    work();
    const endedAtMs = this.#nowMs();
    const pauseMs = (endedAtMs - startedAtMs) * (1 / viewersPart - 1);
    this.#dueAtMs = Math.min(endedAtMs + maxPauseMs, Math.max(this.#dueAtMs, endedAtMs) + pauseMs);
  }
}

interface EvaluationFeedOptions {
  readonly backend: HostBackend;
  readonly prepared: Pick<Prepared, 'model' | 'test'>;
  readonly onError: (error: unknown) => void;
}

/** Larger weights are kept only during their evaluation: later viewers see the next evaluation. */
const mostKeptParameters = 2 ** 22;

interface Evaluated {
  readonly epoch: number;
  readonly weights: Float32Array;
  /** Whether no other evaluation follows; the end of the run holds the same weights anyway. */
  readonly isLast: boolean;
}

/** Evaluates the newest weights while somebody watches. */
export class EvaluationFeed {
  /** The last evaluation; undefined before the first. */
  message: WatchMessageOf<'evaluation'> | undefined;
  readonly #options: EvaluationFeedOptions;
  readonly #viewers: Pick<Viewers, 'size' | 'broadcast'>;
  #isLastShown = false;
  #timesCleared = 0;
  /** Created for the first evaluation, so that a run without viewers pays nothing. */
  #evaluationOf: ReturnType<typeof evaluatorOf> | undefined;
  #newest: Evaluated | undefined;
  /** Settled once the evaluation that goes on is over; undefined between evaluations. */
  #evaluation: Promise<void> | undefined;

  constructor(options: EvaluationFeedOptions, viewers: Pick<Viewers, 'size' | 'broadcast'>) {
    this.#options = options;
    this.#viewers = viewers;
  }

  /** Forgets all evaluations, because the run goes back. */
  clear(): void {
    this.message = undefined;
    this.#newest = undefined;
    this.#timesCleared += 1;
  }

  /** Receives the weights at the end of an epoch, and may keep them. */
  add(evaluated: Evaluated): void {
    // The next token of a text has neither a matrix nor top errors.
    if (this.#options.prepared.test.targets.role === 'next') return;
    this.#newest = evaluated;
    this.refresh();
    this.#forgetLarge();
  }

  /** Evaluates the newest weights if there are viewers, once per set of weights and one evaluation at a time. */
  refresh(): void {
    const newest = this.#newest;
    const isDone = !newest || (this.message?.epoch === newest.epoch && this.#isLastShown === newest.isLast);
    if (isDone || this.#evaluation || this.#viewers.size === 0) return;
    this.#evaluation = this.#evaluate(newest)
      .catch((error: unknown) => {
        // Another attempt would fail in the same way.
        if (this.#newest === newest) this.#newest = undefined;
        this.#options.onError(error);
      })
      .finally(() => {
        this.#evaluation = undefined;
        this.refresh();
        this.#forgetLarge();
      });
  }

  /** Resolves once the newest weights are evaluated, or if nobody watches. */
  async idle(): Promise<void> {
    while (this.#evaluation) await this.#evaluation;
  }

  #forgetLarge(): void {
    if (this.#evaluation || !this.#newest || this.#newest.isLast) return;
    if (this.#newest.weights.length > mostKeptParameters) this.#newest = undefined;
  }

  async #evaluate({ epoch, weights, isLast }: Evaluated): Promise<void> {
    const { backend, prepared } = this.#options;
    this.#evaluationOf ??= evaluatorOf(backend, prepared, () => nextTurn());
    const timesCleared = this.#timesCleared;
    const message = await this.#evaluationOf(epoch, weights, isLast);
    if (timesCleared !== this.#timesCleared) return;
    this.#isLastShown = isLast;
    this.message = message;
    this.#viewers.broadcast(this.message);
  }
}

const hashDigits = 16;
const hashEveryMs = 1_000;
/** The share of the time that hashing a large model may take. */
const hashPart = 0.01;
const weightsEveryMs = 1_000;

/** Hashes the weights, and sends them to viewers that request them. */
class WeightsFeed {
  /** First digits of the last hash; undefined before the first. */
  hash: string | undefined;
  /** Number of steps taken by the hashed weights. */
  hashStep = -1;
  readonly #parameterServer: ParameterServer;
  /** Weights that the run ended with; undefined before. */
  #final: RunRecord['final'];
  #hashDueAtMs = Number.NEGATIVE_INFINITY;
  #sentAtMs = Number.NEGATIVE_INFINITY;

  constructor(parameterServer: ParameterServer) {
    this.#parameterServer = parameterServer;
  }

  /** From now on, shows the weights that the run ended with. @param sha256Hex their hash */
  end(final: NonNullable<RunRecord['final']>, sha256Hex: string): void {
    this.#final = final;
    this.hash = sha256Hex.slice(0, hashDigits);
    this.hashStep = final.step;
  }

  /** Forgets the hash, because the run goes back. */
  clear(): void {
    this.hash = undefined;
    this.hashStep = -1;
  }

  /** Hashes the weights after `step` steps, if a new hash is due. */
  refreshHash(step: number): void {
    const startedAtMs = systemClock.nowMs();
    if (this.#final || step === this.hashStep || startedAtMs < this.#hashDueAtMs) return;
    const { backend, parameters } = this.#parameterServer;
    this.hash = sha256(bytesOf(backend.view(parameters))).slice(0, hashDigits);
    this.hashStep = step;
    const endedAtMs = systemClock.nowMs();
    this.#hashDueAtMs = endedAtMs + Math.max(hashEveryMs, (endedAtMs - startedAtMs) / hashPart);
  }

  /** Sends one copy of the weights to all viewers that requested it, at most once a second. */
  serve(viewers: Viewers, step: number): void {
    const nowMs = systemClock.nowMs();
    const waiting = [...viewers].filter(({ wantsWeights, keepsUp }) => wantsWeights && keepsUp);
    if (waiting.length === 0 || nowMs - this.#sentAtMs < weightsEveryMs) return;
    this.#sentAtMs = nowMs;
    const shown = this.#final ?? { step, weights: this.#parameterServer.weights() };
    const frame = encodeWatch({ type: 'weights', step: shown.step, bytes: bytesOf(shown.weights) });
    for (const viewer of waiting) {
      viewer.wantsWeights = false;
      viewer.sendFrame(frame);
    }
  }
}
