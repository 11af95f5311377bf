/** Shows a run to its viewers, as often as a person can perceive and within a small share of the process's time. */
import { bytesOf, toMessageText, type WatchMessageFrom, type WatchMessageOf } from '@lockstep/protocol';
import { systemClock } from '@lockstep/worker';
import type { WebSocket } from 'ws';
import type { RecordedEvent } from '../events.ts';
import { metadataOf } from '../model.ts';
import type { EpochReport, Report } from '../record/report.ts';
import type { Visit } from '../site/sockets.ts';
import { EvaluationFeed, type EvaluationFeedOptions, WeightsFeed } from './feeds.ts';
import {
  type EarlierRun,
  type EarlierRuns,
  evenly,
  finiteReport,
  pointBytes,
  progressMessage,
  type RunMessage,
  runMessage,
  settingsOf,
  workerTable,
} from './messages.ts';
import { AdminActions, type AdminActionsOptions, ownerMessage, type WatchPermission } from './permission.ts';
import { type Viewer, type ViewerLimits, Viewers } from './viewers.ts';

export interface DashboardOptions extends AdminActionsOptions, EvaluationFeedOptions {
  readonly prepared: AdminActionsOptions['prepared'];
  /** The server's runs before this one. */
  readonly earlierRuns?: EarlierRuns | undefined;
  readonly permission: WatchPermission;
  /** Addresses to join at, without secrets. */
  readonly joinAddresses: readonly string[];
  readonly onFull: () => void;
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
/** Weights up to this size are sent to all viewers at the end, because the server may be gone when they ask. */
const maxFinalWeightsBytes = 4 * 2 ** 20;

export class Dashboard {
  readonly #options: DashboardOptions;
  readonly #about: RunMessage;
  readonly #viewers: Viewers;
  readonly #actions: AdminActions;
  readonly #evaluation: EvaluationFeed;
  readonly #weights: WeightsFeed;
  readonly #budget = new TimeBudget({ nowMs: systemClock.nowMs, part: viewersPart, maxPauseMs });
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
    this.#options = options;
    this.#about = runMessage(options.prepared, options.run.state.setup.faultInjection === true);
    this.#viewers = new Viewers({
      nowMs: systemClock.nowMs,
      limits: options.viewerLimits,
      welcome: (hello, client, onWelcome) => options.permission.welcome(hello, client, onWelcome),
      onFull: options.onFull,
      snapshot: () => this.#snapshot(),
      onWelcome: (sendSnapshot, viewer) => this.#welcome(sendSnapshot, viewer),
      onMessage: (message, viewer) => void this.#handleMessage(message, viewer).catch(options.onError),
    });
    this.#actions = new AdminActions(options);
    this.#evaluation = new EvaluationFeed(options, this.#viewers);
    this.#weights = new WeightsFeed(options.parameterServer, systemClock.nowMs);
    this.#timer = setInterval(() => {
      if (this.#viewers.connections > 0 && this.#budget.isDue) this.#budget.spend(() => this.#update());
    }, tickMs);
    this.#timer.unref();
    options.recorder.data.timing.isWatched = true;
    options.recorder.subscribe((event) => this.#show(event));
  }

  /** Figures for metrics. */
  get figures() {
    const { size, queuedBytes } = this.#viewers;
    return { viewers: size, queuedBytes };
  }

  addViewer(socket: WebSocket, visit: Visit): void {
    this.#viewers.add(socket, visit);
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
      case 'checkpoint':
        this.#viewers.broadcast(this.#checkpoint()!);
        return;
      case 'report':
        this.#leave(event.report, event.weights);
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
    const { phase } = this.#options.run.state;
    this.#evaluation.add({ epoch: report.epoch, weights, isLast: phase === 'finished' || phase === 'failed' });
  }

  #checkpoint(): WatchMessageOf<'checkpoint'> | undefined {
    const { checkpoint } = this.#options.recorder.data;
    return checkpoint && { type: 'checkpoint', ...checkpoint };
  }

  /** Sends the report and the final weights. */
  #leave(report: Report, weights: Float32Array): void {
    const { prepared } = this.#options;
    const { steps, weightsSha256 } = report;
    const bytes = bytesOf(weights);
    if (bytes.byteLength <= maxFinalWeightsBytes) {
      this.#viewers.broadcast({ type: 'weights', step: steps, bytes });
    }
    const json = new TextEncoder().encode(`${JSON.stringify(report, null, 2)}\n`);
    const metadata = metadataOf({ prepared, weightsSha256, steps });
    this.#result = { type: 'result', step: steps, report: json, metadata };
    this.#viewers.broadcast(this.#result);
  }

  /** The part of this run for the chart of the next run. */
  earlierRun(): EarlierRun {
    const { prepared, run, recorder } = this.#options;
    const { steps, curve, epochs } = recorder.data;
    const workers = [...run.state.records.values()].filter(({ shards }) => shards > 0);
    const settings = settingsOf(prepared, workers.length);
    const { stepsPerEpoch } = this.#about;
    return { settings, stepsPerEpoch, steps, points: curve.points(), epochs: epochs.map(finiteReport) };
  }

  /** Sends the final state of the run, and nothing after it. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#viewers.size === 0) return;
    this.#broadcastProgress();
    this.#viewers.broadcast(this.#workers());
  }

  #welcome(sendSnapshot: () => void, viewer: Viewer): void {
    // The snapshot has every point so far; a page ignores points that it already has.
    if (this.#viewers.size === 1) this.#newPoints();
    this.#weights.refreshHash(this.#options.run.state.current.step);
    this.#budget.spend(sendSnapshot);
    if (viewer.mayInvite) this.#sendCode(viewer);
    this.#evaluation.refresh();
  }

  #sendCode(viewer: Viewer): void {
    const { code } = this.#options.permission;
    if (code !== undefined) viewer.send({ type: 'joinCode', code });
  }

  #snapshot(): WatchMessageFrom<'coordinator'>[] {
    const { curve, epochs, lines, timing } = this.#options.recorder.data;
    const earlier = this.#options.earlierRuns?.message();
    const optional = [earlier, timing.timeline, this.#evaluation.message, this.#checkpoint(), this.#result].filter(
      (message) => message !== undefined,
    );
    const shownEpochs = evenly(epochs, maxEpochs).map(finiteReport);
    const events = lines.map((line) => toMessageText(line));
    return [
      { ...this.#about, joinAddresses: [...this.#options.joinAddresses] },
      { type: 'history', points: pointBytes(curve.points()), epochs: shownEpochs, events },
      this.#workers(),
      ...optional,
      this.#progress(pointBytes([])),
    ];
  }

  /** The points since the last call. */
  #newPoints() {
    const points = this.#options.recorder.data.curve.pointsAfter(this.#shownSteps);
    this.#shownSteps = points.at(-1)?.steps ?? this.#shownSteps;
    return points;
  }

  async #handleMessage(message: WatchMessageFrom<'viewer'>, viewer: Viewer): Promise<void> {
    if (message.type === 'wantWeights') {
      viewer.wantsWeights = true;
      return;
    }
    const request = ownerMessage(message, viewer, this.#options.permission);
    if (message.type === 'unlock' && viewer.role === 'owner') this.#sendCode(viewer);
    if (!request) return;
    const result = await this.#actions.meet(request);
    if (result.type === 'refused') viewer.send({ type: 'refused', message: toMessageText(result.message) });
    else if (result.event) {
      this.#options.recorder.note(result.event.line, result.event.ownerLine);
      viewer.send({ type: 'done', message: toMessageText(result.event.ownerLine) });
    }
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
    this.#viewers.broadcast(this.#progress(pointBytes(this.#newPoints())));
    this.#progressAtMs = nowMs;
    this.#shown = shown;
  }

  #progress(points: WatchMessageOf<'progress'>['points']): WatchMessageOf<'progress'> {
    const { run, recorder } = this.#options;
    return progressMessage(run.state, this.#about, { record: recorder.data, weights: this.#weights, points });
  }

  #workers(): WatchMessageOf<'workers'> {
    const { run, recorder } = this.#options;
    const { timing } = recorder.data;
    return { type: 'workers', workers: workerTable(run.state, (workerId) => timing.averagesOf(workerId)) };
  }
}

export interface TimeBudgetOptions {
  readonly nowMs: () => number;
  /** The share of the time that the work may take, 0 to 1. */
  readonly part: number;
  readonly maxPauseMs: number;
}

export class TimeBudget {
  readonly #options: TimeBudgetOptions;
  #dueAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: TimeBudgetOptions) {
    this.#options = options;
  }

  /** Whether the pause for earlier work is over. */
  get isDue(): boolean {
    return this.#options.nowMs() >= this.#dueAtMs;
  }

  spend(work: () => void): void {
    const { nowMs, part, maxPauseMs } = this.#options;
    const startedAtMs = nowMs();
    work();
    const endedAtMs = nowMs();
    const pauseMs = (endedAtMs - startedAtMs) * (1 / part - 1);
    this.#dueAtMs = Math.min(endedAtMs + maxPauseMs, Math.max(this.#dueAtMs, endedAtMs) + pauseMs);
  }
}
