/** Shows a run to its viewers, no more often than a person can see and at a small part of the process's time. */
import { bytesOf, toMessageText, type WatchMessageFrom, type WatchMessageOf } from '@lockstep/protocol';
import type { StepResult } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import type { WebSocket } from 'ws';
import type { WrittenCheckpoint } from '../checkpoint/checkpointer.ts';
import type { Progress } from '../checkpoint/progress.ts';
import { metadataOf } from '../model/model-file.ts';
import { movingAverage } from '../moving-average.ts';
import type { Visit } from '../network/sockets.ts';
import type { EpochReport, Report } from '../report/report.ts';
import type { SummedStep } from '../report/step-exchanges.ts';
import { TrainingCurve } from '../report/training-curve.ts';
import { type EarlyEnd, earlyEndOf } from '../run/early-end.ts';
import { AdminActions, type AdminActionsOptions } from './admin-actions.ts';
import { ownerMessage } from './admin-permission.ts';
import { type EarlierRuns, type RunRecord, settingsOf } from './earlier-runs.ts';
import { EvaluationFeed, type EvaluationFeedOptions } from './evaluation-feed.ts';
import { finiteReport, pointBytes, progressMessage, type RunMessage, runMessage } from './messages.ts';
import { StepTimeline } from './step-timeline.ts';
import { Throughput } from './throughput.ts';
import { TimeBudget } from './time-budget.ts';
import type { Viewer } from './viewer.ts';
import type { ViewerLimits } from './viewer-places.ts';
import { Viewers } from './viewers.ts';
import type { WatchPermission } from './watch-permission.ts';
import { WeightsFeed } from './weights-feed.ts';
import { workerTable } from './worker-table.ts';

interface ResumeOptions {
  /** Of the steps before the checkpoint that the run went on from. */
  readonly progressBefore?: Pick<Progress, 'curve' | 'epochs'> | undefined;
  readonly resumed?: WrittenCheckpoint | undefined;
}

interface ServerOptions {
  /** Of the server that the run is on. */
  readonly earlierRuns?: EarlierRuns | undefined;
}

interface DoorOptions {
  readonly permission: WatchPermission;
  readonly onFull: () => void;
  readonly viewerLimits?: Partial<ViewerLimits> | undefined;
}

export type DashboardOptions = AdminActionsOptions &
  EvaluationFeedOptions &
  ResumeOptions &
  ServerOptions &
  DoorOptions;

const tickMs = 100;
const workersEveryMs = 250;
const timelineEveryMs = 500;
/** Progress is sent this often where nothing happens. */
const idleEveryMs = 1_000;
/** The part of this process's time that viewers may take; the same process adds gradients. */
const viewersPart = 0.02;
/** Viewers get an update at least this often, however many they are. */
const maxPauseMs = 2_000;
const maxCurvePoints = 2_000;
const smoothing = 0.05;
const maxEpochs = 400;
const maxEvents = 30;
/** Weights up to this size are sent to all viewers at the end, whose server may be gone when they ask. */
const maxFinalWeightsBytes = 4 * 2 ** 20;

export class Dashboard {
  /** Where to join, without secrets; set once the server listens. */
  joinAddresses: readonly string[] = [];
  readonly #options: DashboardOptions;
  readonly #about: RunMessage;
  readonly #viewers: Viewers;
  readonly #actions: AdminActions;
  readonly #evaluation: EvaluationFeed;
  readonly #weights: WeightsFeed;
  readonly #curve: TrainingCurve;
  readonly #throughput = new Throughput(systemClock.nowMs);
  readonly #timeline = new StepTimeline();
  readonly #budget = new TimeBudget({ nowMs: systemClock.nowMs, part: viewersPart, maxPauseMs });
  readonly #timer: NodeJS.Timeout;
  readonly #events: string[] = [];
  #epochs: EpochReport[];
  #checkpoint: WatchMessageOf<'checkpoint'> | undefined;
  #result: WatchMessageOf<'result'> | undefined;
  #ending: EarlyEnd | undefined;
  #loss: number | undefined;
  #accuracy: number | undefined;
  #shown = '';
  #shownTimelineStep = -1;
  #progressAtMs = 0;
  #workersAtMs = 0;
  #timelineAtMs = 0;

  constructor(options: DashboardOptions) {
    this.#options = options;
    const { progressBefore, resumed } = options;
    this.#curve = new TrainingCurve(maxCurvePoints, progressBefore?.curve, options.prepared.test.targets.type);
    this.#epochs = (progressBefore?.epochs ?? []).slice(-maxEpochs).map(finiteReport);
    if (resumed) this.#checkpoint = { type: 'checkpoint', resumed, newest: resumed };
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
    void options.run.outcome.then((outcome) => {
      this.#ending = earlyEndOf(outcome);
      if (this.#ending) this.event(this.#ending.message);
    });
  }

  /** For metrics; the loss is smoothed over recent steps, and undefined before the first. */
  get figures() {
    const { size, queuedBytes } = this.#viewers;
    return { viewers: size, queuedBytes, loss: this.#loss, images: this.#throughput.images };
  }

  addViewer(socket: WebSocket, visit: Visit): void {
    this.#viewers.add(socket, visit);
  }

  /** @param seconds since the run began to train */
  step(result: StepResult, seconds: number): void {
    this.#curve.add(result, seconds);
    this.#loss = movingAverage(this.#loss, result.loss, smoothing);
    if (this.#about.targetType === 'classes') {
      this.#accuracy = movingAverage(this.#accuracy, result.correct / result.count, smoothing);
    }
    this.#throughput.add(result.count);
  }

  /** The gradient of a step is complete. */
  summed(step: SummedStep): void {
    this.#timeline.add(step);
  }

  /** @param weights what the epoch was evaluated with; kept where that costs little */
  epoch(report: EpochReport, weights: Float32Array): void {
    const finite = finiteReport(report);
    if (this.#epochs.length === maxEpochs) this.#epochs = this.#epochs.filter((_, index) => index % 2 === 1);
    this.#epochs.push(finite);
    this.#viewers.broadcast({ type: 'epoch', report: finite });
    // A model that has diverged gives no answers, right or wrong.
    if (!Number.isFinite(report.testLoss)) return;
    const { phase } = this.#options.run.state;
    this.#evaluation.add({ epoch: report.epoch, weights, isLast: phase === 'finished' || phase === 'failed' });
  }

  /** A checkpoint that is on the disk. */
  checkpoint(newest: WrittenCheckpoint): void {
    this.#checkpoint = { ...this.#checkpoint, type: 'checkpoint', newest };
    this.#viewers.broadcast(this.#checkpoint);
  }

  /** @param ownerLine for owners in its stead, where it names what is on this machine */
  event(line: string, ownerLine = line): void {
    const message = toMessageText(line);
    this.#events.push(message);
    if (this.#events.length > maxEvents) this.#events.shift();
    this.#budget.spend(() => {
      this.#viewers.broadcast({ type: 'event', message }, 'guest');
      this.#viewers.broadcast({ type: 'event', message: toMessageText(ownerLine) }, 'owner');
    });
  }

  /** What the run leaves behind: its report, and its weights, of which `weights` is a copy. */
  result(report: Report, weights: Float32Array): void {
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

  /** What is kept of the run for the chart of the next one. */
  record(): RunRecord {
    const { prepared, run } = this.#options;
    const workers = [...run.state.records.values()].filter(({ shards }) => shards > 0);
    return {
      settings: settingsOf(prepared, workers.length),
      stepsPerEpoch: this.#about.stepsPerEpoch,
      steps: run.state.current.step,
      points: this.#curve.points(),
      epochs: this.#epochs,
    };
  }

  /** Sends the last state of the run, and nothing after it. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#viewers.size === 0) return;
    this.#broadcastProgress();
    this.#viewers.broadcast(this.#workers());
  }

  #welcome(sendSnapshot: () => void, viewer: Viewer): void {
    // The snapshot has every point so far; a page ignores points that it knows already.
    if (this.#viewers.size === 1) this.#curve.takeNew();
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
    const points = pointBytes(this.#curve.points());
    const earlier = this.#options.earlierRuns?.message();
    const optional = [earlier, this.#timeline.last, this.#evaluation.message, this.#checkpoint, this.#result].filter(
      (message) => message !== undefined,
    );
    return [
      { ...this.#about, joinAddresses: [...this.joinAddresses] },
      { type: 'history', points, epochs: this.#epochs, events: this.#events },
      this.#workers(),
      ...optional,
      this.#progress(pointBytes([])),
    ];
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
      this.event(result.event.line, result.event.ownerLine);
      viewer.send({ type: 'done', message: toMessageText(result.event.ownerLine) });
    }
  }

  #update(): void {
    this.#viewers.refresh();
    // A viewer that has fallen behind gets a snapshot later.
    if (!this.#viewers.anyKeepsUp) return;
    const nowMs = systemClock.nowMs();
    this.#broadcastProgress();
    if (nowMs - this.#workersAtMs >= workersEveryMs) {
      this.#workersAtMs = nowMs;
      this.#viewers.broadcast(this.#workers());
    }
    const timeline = this.#timeline.last;
    if (timeline && timeline.step !== this.#shownTimelineStep && nowMs - this.#timelineAtMs >= timelineEveryMs) {
      this.#timelineAtMs = nowMs;
      this.#shownTimelineStep = timeline.step;
      this.#viewers.broadcast(timeline);
    }
    this.#weights.serve(this.#viewers, this.#options.run.state.current.step);
  }

  #broadcastProgress(): void {
    const nowMs = systemClock.nowMs();
    const { phase, pauseRequested, current } = this.#options.run.state;
    const shown = `${phase} ${this.#ending?.type} ${pauseRequested} ${current.step}`;
    if (shown === this.#shown && nowMs - this.#progressAtMs < idleEveryMs) return;
    this.#weights.refreshHash(current.step);
    this.#viewers.broadcast(this.#progress(pointBytes(this.#curve.takeNew())));
    this.#progressAtMs = nowMs;
    this.#shown = shown;
  }

  #progress(points: WatchMessageOf<'progress'>['points']): WatchMessageOf<'progress'> {
    return progressMessage(this.#options.run.state, this.#about, {
      loss: this.#loss,
      accuracy: this.#accuracy,
      ending: this.#ending,
      imagesPerSecond: this.#throughput.perSecond(),
      weights: this.#weights,
      points,
    });
  }

  #workers(): WatchMessageOf<'workers'> {
    const { state } = this.#options.run;
    return { type: 'workers', workers: workerTable(state, (workerId) => this.#timeline.averagesOf(workerId)) };
  }
}
