/** Shows a run to whoever watches: gathers what happens, and tells it no more often than a person can see. */
import { toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import type { EpochReport } from '@lockstep/train';
import { exactnessOf, type Run, type StepResult, type Trace } from '@lockstep/training';
import type { WebSocket } from 'ws';
import type { Actions } from './actions.ts';
import { createCurves } from './curves.ts';
import { createPace } from './pace.ts';
import { workerRows } from './rows.ts';
import { createSpeed } from './speed.ts';
import { createTimeline } from './timeline.ts';
import { createViewers, type Viewer, type ViewerMessage } from './viewers.ts';
import { createWeightsView } from './weights-view.ts';

export interface DashboardOptions {
  readonly run: Run;
  /** What does not change while the run lasts. */
  readonly about: WatchMessageOf<'run'>;
  readonly actions: (say: (message: string) => void) => Actions;
  /** A copy of the parameters as they are now. */
  readonly weights: () => Float32Array<ArrayBuffer>;
  readonly hash: (bytes: Uint8Array) => string;
  /** Looks at how a model reads the test set; called only where somebody watches. */
  readonly evaluate: (epoch: number, weights: Float32Array) => Promise<WatchMessageOf<'evaluation'>>;
  readonly nowMs: () => number;
  readonly onError: (error: unknown) => void;
}

export interface Dashboard {
  readonly viewers: number;
  /** Bytes that wait in this process for viewers to take them. */
  readonly queuedBytes: number;
  readonly loss: number | undefined;
  /** Images trained on so far. */
  readonly images: number;
  admit(socket: WebSocket): void;
  step(result: StepResult): void;
  trace(trace: Trace): void;
  /** @param weights what the epoch was evaluated with; kept */
  epoch(report: EpochReport, weights: Float32Array): void;
  say(message: string): void;
  /** Tells nothing any more. */
  close(): void;
}

const tickMs = 100;
const workersEveryMs = 250;
const timelineEveryMs = 500;
/** Where nothing happens, progress is told so often. */
const idleEveryMs = 1_000;
/** What telling viewers may take of this process's time, which is also what adds gradients. */
const viewersPart = 0.02;
/** However many they are, they hear something so often. */
const tellWithinMs = 2_000;
const mostEpochs = 400;
const mostEvents = 30;
/** Someone who guesses at the admin token is sent away. */
const mostBadTokens = 5;

export function createDashboard(options: DashboardOptions): Dashboard {
  const { run, about, nowMs } = options;
  const curves = createCurves();
  const speed = createSpeed(nowMs);
  const timeline = createTimeline();
  const weights = createWeightsView(options);
  const pace = createPace({ nowMs, part: viewersPart, mostMs: tellWithinMs });
  const events: string[] = [];
  let epochs: EpochReport[] = [];
  let stepsSinceProgress = 0;
  let toldPhase = '';
  const lastAtMs = { progress: 0, workers: 0, timeline: 0 };
  let toldStep = -1;
  /** The newest evaluated weights, and what was seen in them once somebody watched. */
  let evaluated: { readonly epoch: number; readonly weights: Float32Array } | undefined;
  let evaluation: WatchMessageOf<'evaluation'> | undefined;
  let isEvaluating = false;

  const progress = (points: WatchMessageOf<'progress'>['points']): WatchMessageOf<'progress'> => {
    const { phase, pauseRequested, current } = run.state;
    const { loss, accuracy } = curves;
    const imagesPerSecond = speed.perSecond();
    const left = (about.steps - current.step) * about.config.batch;
    const { hash, hashStep } = weights;
    return {
      type: 'progress',
      phase,
      pauseRequested,
      step: current.step,
      epoch: Math.min(about.config.epochs, 1 + Math.floor(current.step / about.stepsPerEpoch)),
      ...(loss === undefined || !Number.isFinite(loss) ? {} : { loss }),
      ...(accuracy === undefined ? {} : { accuracy }),
      imagesPerSecond,
      ...(imagesPerSecond > 0 ? { secondsLeft: left / imagesPerSecond } : {}),
      exactness: exactnessOf(run.state),
      ...(hash === undefined ? {} : { weightsHash: hash, weightsHashStep: hashStep }),
      points,
    };
  };
  const history = (): WatchMessageOf<'history'> => ({
    type: 'history',
    points: curves.all(),
    epochs: thinned(epochs, mostEpochs),
    events,
  });
  const workers = (): WatchMessageOf<'workers'> => ({
    type: 'workers',
    workers: workerRows(run.state, timeline.means),
  });
  const picture = (): WatchMessageOf<'timeline'>[] => {
    const last = timeline.last();
    return last ? [{ type: 'timeline', ...last }] : [];
  };

  const viewers = createViewers({
    nowMs,
    snapshot: () => [
      about,
      history(),
      workers(),
      ...picture(),
      ...(evaluation ? [evaluation] : []),
      progress(noPoints),
    ],
    onMessage: (message, viewer) => void hear(message, viewer).catch(options.onError),
  });

  const say = (line: string): void => {
    const message = toMessageText(line);
    events.push(message);
    if (events.length > mostEvents) events.shift();
    pace.spend(() => viewers.broadcast({ type: 'event', message }));
  };
  const actions = options.actions(say);

  const hear = async (message: ViewerMessage, viewer: Viewer): Promise<void> => {
    if (message.type === 'wantWeights') {
      viewer.wantsWeights = true;
      return;
    }
    const refusal =
      message.type === 'admin'
        ? await actions.admin(message.action, message.token)
        : actions.injectFault(message.action, message.workerId, message.token);
    if (!refusal) return;
    viewer.send({ type: 'refused', message: toMessageText(refusal.message) });
    if (!refusal.badToken) return;
    viewer.badTokens += 1;
    if (viewer.badTokens >= mostBadTokens) viewer.close(1008, 'the admin token was wrong too often');
  };

  /** The newest evaluated weights are looked at when somebody is there to see it, one after another. */
  const evaluateIfWatched = (): void => {
    const newest = evaluated;
    if (!newest || isEvaluating || viewers.size === 0 || evaluation?.epoch === newest.epoch) return;
    isEvaluating = true;
    options
      .evaluate(newest.epoch, newest.weights)
      .then((message) => {
        evaluation = message;
        viewers.broadcast(message);
      })
      .catch(options.onError)
      .finally(() => {
        isEvaluating = false;
        evaluateIfWatched();
      });
  };

  const tellProgress = (now: number): void => {
    const { phase, pauseRequested } = run.state;
    const isNews = stepsSinceProgress > 0 || toldPhase !== `${phase} ${pauseRequested}`;
    if (!isNews && now - lastAtMs.progress < idleEveryMs) return;
    weights.refreshHash(run.state.current.step);
    viewers.broadcast(progress(curves.takeNew()));
    lastAtMs.progress = now;
    stepsSinceProgress = 0;
    toldPhase = `${phase} ${pauseRequested}`;
  };

  const tick = (): void => {
    if (viewers.size > 0 && pace.isDue()) pace.spend(tell);
  };
  const tell = (): void => {
    const now = nowMs();
    viewers.tend();
    // Who has fallen behind gets everything anew later.
    if (!viewers.listening) return;
    tellProgress(now);
    if (now - lastAtMs.workers >= workersEveryMs) {
      lastAtMs.workers = now;
      viewers.broadcast(workers());
    }
    if (now - lastAtMs.timeline >= timelineEveryMs) {
      lastAtMs.timeline = now;
      for (const message of picture()) {
        if (message.step !== toldStep) viewers.broadcast(message);
        toldStep = message.step;
      }
    }
    weights.serve(viewers.all(), run.state.current.step);
  };
  const timer = setInterval(tick, tickMs);
  timer.unref();

  return {
    get viewers() {
      return viewers.size;
    },
    get queuedBytes() {
      return viewers.queuedBytes;
    },
    get loss() {
      return curves.loss;
    },
    get images() {
      return speed.images;
    },
    admit(socket) {
      // Whoever comes gets every point so far, and passes over those that are told to the others later.
      if (viewers.size === 0) curves.takeNew();
      weights.refreshHash(run.state.current.step);
      pace.spend(() => viewers.add(socket));
      evaluateIfWatched();
    },
    step(result) {
      curves.add(result);
      speed.add(result.count);
      stepsSinceProgress += 1;
    },
    trace: (trace) => timeline.trace(trace),
    epoch(report, evaluatedWeights) {
      epochs.push(report);
      // Twice the bound, so that thinning is rare.
      if (epochs.length > 2 * mostEpochs) epochs = thinned(epochs, mostEpochs);
      viewers.broadcast({ type: 'epoch', report: finiteReport(report) });
      evaluated = { epoch: report.epoch, weights: evaluatedWeights };
      evaluateIfWatched();
    },
    say,
    close() {
      clearInterval(timer);
      if (viewers.size === 0) return;
      tellProgress(nowMs());
      viewers.broadcast(workers());
    },
  };
}

const noBytes = new Uint8Array(0);
const noPoints = { steps: noBytes, losses: noBytes, accuracies: noBytes };

/** Evenly spaced items, the last one among them. */
function thinned(epochs: readonly EpochReport[], most: number): EpochReport[] {
  const every = Math.ceil(epochs.length / most);
  return epochs.filter((_, index) => (epochs.length - 1 - index) % every === 0).map(finiteReport);
}

/** A model that has diverged has losses that no message carries. */
function finiteReport(report: EpochReport): EpochReport {
  const finite = (loss: number): number => (Number.isFinite(loss) ? loss : Number.MAX_VALUE);
  return { ...report, trainLoss: finite(report.trainLoss), testLoss: finite(report.testLoss) };
}
