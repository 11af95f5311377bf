/** The state of the watched run as signals, updated by the messages of the dashboard socket. */
import type { Vocabulary } from '@lockstep/data';
import type { Metrics } from '@lockstep/nn';
import type { ProgressMessage, RunMessage, WatchMessageFrom, WatchMessageOf } from '@lockstep/protocol';
import { computed, type Signal, signal } from '@preact/signals';
import { type CurveKind, type CurveView, type RunCurve, RunCurves, type WatchedEpoch } from './curves.ts';
import {
  isOver,
  quietMs,
  type ShownWorker,
  shownWorker,
  statusOf,
  type ViewerConnection,
  type WorkerRow,
} from './status.ts';

export type Timeline = WatchMessageOf<'timeline'>;
export type EvaluationMessage = WatchMessageOf<'evaluation'>;
type Checkpoint = WatchMessageOf<'checkpoint'>;
export type DataSetup = WatchMessageOf<'dataSetup'>;

/** Whether samples are [height, width, channels], gray or in color. An unknown run is assumed to be MNIST. */
export function isPicture(run: Pick<RunMessage, 'sampleField'> | undefined): boolean {
  const { shape = [] } = run?.sampleField ?? {};
  const [, , channels = 1] = shape;
  return run === undefined || (shape.length === 3 && (channels === 1 || channels === 3));
}

/** Whether the model predicts the next token of a text. */
export function isText(run: Pick<RunMessage, 'targetField'> | undefined): boolean {
  return run?.targetField.role === 'next';
}

/** Vocabularies that were parsed, by the bytes in their messages. */
const vocabularies = new WeakMap<Uint8Array, Vocabulary>();

/** Returns the tokens of the run's texts; undefined if there are none, or too many to send. */
export function vocabularyOf(run: Pick<RunMessage, 'vocabulary'> | undefined): Vocabulary | undefined {
  const bytes = run?.vocabulary;
  if (!bytes) return undefined;
  const vocabulary = vocabularies.get(bytes) ?? (JSON.parse(new TextDecoder().decode(bytes)) as Vocabulary);
  vocabularies.set(bytes, vocabulary);
  return vocabulary;
}

export interface LogLine {
  readonly key: number;
  /** When this page received the line; absent for lines from before the page connected. */
  readonly at: Date | undefined;
  readonly text: string;
}

const maxLogLines = 200;

export class RunStore {
  readonly connection = signal<ViewerConnection>({ phase: 'connecting' });
  readonly run = signal<RunMessage>();
  /** The data that the server waits for; set only while there is no run. */
  readonly dataSetup = signal<DataSetup>();
  readonly progress = signal<ProgressMessage>();
  /** The rows of the last `workers` message. */
  readonly #workerRows = signal<readonly WorkerRow[]>([]);
  readonly timeline = signal<Timeline>();
  readonly epochs = signal<readonly WatchedEpoch[]>([]);
  readonly evaluation = signal<EvaluationMessage>();
  readonly weights = signal<WatchMessageOf<'weights'>>();
  /** Absent in a run that writes no checkpoints. */
  readonly checkpoint = signal<Checkpoint>();
  readonly log = signal<readonly LogLine[]>([]);
  /** The learning rate of a step, counted from 0; undefined unless the run has a schedule. */
  readonly rateAt = signal<(step: number) => number>();
  /** Runs that ended on this server before this one, oldest first. */
  readonly earlierRuns = signal<readonly EarlierRun[]>([]);
  /** Name of this run: the settings in which it differs from the earlier runs. */
  readonly label = signal('this run');
  /** Why the coordinator rejected this page's last request. */
  readonly rejection = signal<string>();
  /** The coordinator's answer to this page's last request, such as where a model was saved. */
  readonly answer = signal<string>();
  /** Changes whenever `curveTable` returns something new. */
  readonly curvesVersion = signal(0);
  /** The final results of a run that is over. */
  readonly result = signal<WatchMessageOf<'result'>>();
  /** The report of a run that is over. */
  readonly report = computed(() =>
    this.isOver.value && this.result.value ? readReport(this.result.value.report) : undefined,
  );
  /** Texts that the model has written, in the order of their steps; none unless it writes any. */
  readonly samples = signal<readonly WatchMessageOf<'sample'>[]>([]);
  /** Milliseconds since the last message; 0 unless the coordinator counts as silent. */
  readonly silentMs = signal(0);
  readonly isOnline = signal(true);
  /** The status that the header, the cards, the table of workers and the room's view show. */
  readonly status = computed(() =>
    statusOf({
      connection: this.connection.value,
      progress: this.progress.value,
      waitsForData: this.dataSetup.value !== undefined,
      silentMs: this.silentMs.value,
      isOnline: this.isOnline.value,
    }),
  );
  readonly workers = computed((): readonly ShownWorker[] =>
    this.#workerRows.value.map((row) => shownWorker(row, this.status.value)),
  );
  readonly isOver = computed(() => this.progress.value !== undefined && isOver(this.progress.value));
  /** A short code that people may type instead of the token; known only to pages that know the token. */
  readonly joinCode = signal<string>();
  /** The coordinator's answer to the admin token of this page; undefined if the page has sent none. */
  readonly role = signal<WatchMessageOf<'role'>>();
  /** Whether the coordinator has accepted the admin token. The owner's controls keep their place until it answers. */
  readonly isOwner = computed(() => this.role.value?.role === 'owner');
  readonly #curves = new RunCurves();
  #logLineCount = 0;

  /** Returns one curve for each run shown, the current run first. */
  curves(kind: CurveKind, view: CurveView): readonly RunCurve[] {
    const { stepsPerEpoch = 1, steps = Number.POSITIVE_INFINITY } = this.run.peek() ?? {};
    // If the run ends within an epoch, that epoch's evaluation belongs to the last step of the run.
    const lastStep = this.isOver.peek() ? this.progress.peek()!.step : steps;
    const keptEpoch = this.progress.peek()?.kept?.epoch;
    const table = this.#curves.table(kind, this.epochs.peek(), { ...view, stepsPerEpoch, lastStep, keptEpoch });
    const earlier = this.earlierRuns.peek().map(({ record, curves }) => {
      const { label, epochs, stepsPerEpoch, steps: lastStep } = record;
      return { label, table: curves.table(kind, epochs, { ...view, stepsPerEpoch, lastStep }) };
    });
    return [{ label: this.label.peek(), table }, ...earlier];
  }

  /** Returns the learning rate of each step; empty unless the run has a schedule. */
  rateCurves(view: CurveView): readonly RunCurve[] {
    const { stepsPerEpoch = 1, steps = Number.POSITIVE_INFINITY } = this.run.peek() ?? {};
    const rateAt = this.rateAt.peek();
    if (!rateAt) return [];
    const table = this.#curves.ofSteps(rateAt, { ...view, stepsPerEpoch, lastStep: steps });
    return [{ label: this.label.peek(), table }];
  }

  /** Returns this run, then the earlier ones, oldest first. */
  summaries(): readonly RunSummary[] {
    this.curvesVersion.value;
    const run = this.run.value;
    if (!run) return [];
    const earlier = this.earlierRuns.value;
    const current = {
      label: this.label.value,
      settings: settingsOf(run, this.workers.value),
      epochs: this.epochs.value,
      keptEpoch: this.progress.value?.kept?.epoch,
    };
    return [
      summaryOf(current, this.#curves, earlier.length),
      ...earlier.map(({ record, curves }, place) => summaryOf(record, curves, place)),
    ];
  }

  /** Newest smoothed values, so that training figures agree with the curves. */
  training(memory: number): Readonly<Record<CurveKind, number | undefined>> {
    return { loss: this.#curves.newest('loss', memory), accuracy: this.#curves.newest('accuracy', memory) };
  }

  /** @param silentMs milliseconds since the coordinator's last message */
  noteSilence(silentMs: number): void {
    this.silentMs.value = silentMs < quietMs ? 0 : silentMs;
  }

  apply(message: WatchMessageFrom<'coordinator'>): void {
    switch (message.type) {
      case 'alive':
        return;
      case 'dataSetup':
        if (this.run.value) this.#forgetRun();
        this.rejection.value = undefined;
        this.dataSetup.value = message;
        return;
      case 'run':
        this.#beginRun(message);
        return;
      case 'earlierRuns':
        this.earlierRuns.value = message.runs.map((record) => {
          const curves = new RunCurves();
          curves.add(record.points);
          return { record, curves };
        });
        this.label.value = message.label;
        this.curvesVersion.value++;
        return;
      case 'history':
        this.#takeHistory(message);
        return;
      case 'progress':
        this.#curves.add(message.points);
        this.progress.value = message;
        this.curvesVersion.value++;
        return;
      case 'epoch':
        this.#addEpoch(message.report);
        return;
      case 'event':
        this.#appendToLog([message.message], new Date());
        return;
      case 'workers':
        this.#workerRows.value = message.workers;
        return;
      case 'sample':
        this.samples.value = [...this.samples.value.filter(({ step }) => step !== message.step), message];
        return;
      case 'joinCode':
        this.joinCode.value = message.code;
        return;
      case 'refused':
        this.rejection.value = message.message;
        return;
      case 'done':
        this.answer.value = message.message;
        return;
      default:
        // The newest of these messages replaces all earlier ones.
        (this[message.type] as Signal<typeof message | undefined>).value = message;
    }
  }

  #beginRun(message: WatchMessageOf<'run'>): void {
    this.run.value = message;
    // If these still apply, the coordinator sends them again after `run`. It may be another coordinator than before.
    const { dataSetup, checkpoint, result, evaluation, timeline, rejection, answer } = this;
    for (const about of [dataSetup, checkpoint, result, evaluation, timeline, rejection, answer])
      about.value = undefined;
    this.earlierRuns.value = [];
    this.#followRate(message);
    this.label.value = 'this run';
  }

  #takeHistory({ points, epochs, events }: WatchMessageOf<'history'>): void {
    this.#curves.clear();
    this.#curves.add(points);
    this.epochs.value = epochs;
    this.samples.value = [];
    // If it is still valid, the coordinator sends it after this.
    this.evaluation.value = undefined;
    if (events) {
      this.log.value = [];
      this.#appendToLog(events, undefined);
    }
    this.curvesVersion.value++;
  }

  #addEpoch(report: WatchMessageOf<'epoch'>['report']): void {
    this.epochs.value = [...this.epochs.value.filter(({ epoch }) => epoch !== report.epoch), report];
    const progress = this.progress.peek();
    // Progress comes at intervals, and short epochs overtake it.
    if (progress && progress.epoch < report.epoch) this.progress.value = { ...progress, epoch: report.epoch };
    this.curvesVersion.value++;
  }

  /** Clears the run: the server has restarted and waits for data. */
  #forgetRun(): void {
    for (const about of [this.run, this.progress, this.timeline, this.evaluation, this.checkpoint, this.result]) {
      about.value = undefined;
    }
    this.#workerRows.value = [];
    this.epochs.value = [];
    this.samples.value = [];
    this.#curves.clear();
    this.curvesVersion.value++;
  }

  /** Loads the code of schedules only if the run has a schedule. */
  #followRate(run: RunMessage): void {
    const { optimizer } = run.config;
    this.rateAt.value = undefined;
    if (!(optimizer as { readonly schedule?: unknown } | null)?.schedule) return;
    import('./run-model.ts').then(
      ({ learningRateOf }) => {
        if (this.run.value === run) this.rateAt.value = learningRateOf(optimizer);
      },
      () => {
        // The server is gone. The connection's status already says so.
      },
    );
  }

  #appendToLog(texts: readonly string[], at: Date | undefined): void {
    const lines = texts.map((text) => ({ key: this.#logLineCount++, text, at }));
    this.log.value = [...this.log.value, ...lines].slice(-maxLogLines);
  }
}

type EarlierRecord = WatchMessageOf<'earlierRuns'>['runs'][number];

interface EarlierRun {
  readonly record: EarlierRecord;
  readonly curves: RunCurves;
}

type Settings = EarlierRecord['settings'];

export interface RunSummary {
  /** Index among the server's runs, from 0. */
  readonly place: number;
  readonly label: string;
  readonly settings: Settings;
  /** Test results of the epoch whose weights are kept, or of the last one that was evaluated. */
  readonly testLoss: number | undefined;
  readonly testAccuracy: number | undefined;
  readonly testRmse: number | undefined;
  /** Duration of the training. */
  readonly seconds: number | undefined;
}

type SummarizedRun = Pick<EarlierRecord, 'label' | 'settings'> & {
  readonly epochs: readonly WatchedEpoch[];
  readonly keptEpoch?: number | undefined;
};

function summaryOf(
  { label, settings, epochs, keptEpoch }: SummarizedRun,
  curves: RunCurves,
  place: number,
): RunSummary {
  const last = epochs.find(({ epoch }) => epoch === keptEpoch) ?? epochs.at(-1);
  return {
    ...{ place, label, settings, seconds: curves.seconds },
    testLoss: last?.testLoss,
    testAccuracy: last?.testAccuracy ?? undefined,
    testRmse: last?.testRmse ?? undefined,
  };
}

/** Reads the name of the model, which messages carry as plain data. */
export function modelName(run: Pick<RunMessage, 'model'> | undefined): string {
  const { name = 'model' } = (run?.model ?? {}) as { readonly name?: string };
  return name;
}

/** Reads the optimizer, which messages carry as plain data. */
export function optimizerSettingsOf({ optimizer }: RunMessage['config']) {
  const { type, learningRate, schedule } = optimizer as {
    readonly type: string;
    readonly learningRate: number;
    readonly schedule?: { readonly type: string };
  };
  return { type, learningRate, schedule: schedule?.type ?? 'constant' };
}

function settingsOf({ model, config }: RunMessage, workers: readonly ShownWorker[]): Settings {
  const { type, learningRate, schedule } = optimizerSettingsOf(config);
  const { batch, epochs, seed } = config;
  return {
    ...{ model: modelName({ model }), optimizer: type, learningRate, batch, epochs, schedule, seed },
    workers: workers.filter(({ shards }) => shards > 0).length,
  };
}

/** The parts of a run's report that the page shows. */
interface RunReport {
  readonly wallSeconds: number;
  readonly imagesPerSecond: number;
  readonly metrics: Metrics | null;
  readonly workers: readonly { readonly id: string; readonly samples: number }[];
}

/** @param report UTF-8 JSON, as `--report` writes it */
function readReport(report: Uint8Array): RunReport {
  return JSON.parse(new TextDecoder().decode(report)) as RunReport;
}

export interface PageContribution {
  /** Samples that this page's workers computed; a shard that two workers computed counts for both. */
  readonly ownSamples: number;
  readonly allSamples: number;
  /** Number of workers that computed at least one sample. */
  readonly workers: number;
}

/**
 * @param report UTF-8 JSON, as `--report` writes it
 * @param ownIds ids of the workers that this page has been
 */
export function contributionOf(report: Uint8Array, ownIds: ReadonlySet<string>): PageContribution {
  const { workers } = readReport(report);
  const sum = (parts: RunReport['workers']): number => parts.reduce((total, { samples }) => total + samples, 0);
  return {
    ownSamples: sum(workers.filter(({ id }) => ownIds.has(id))),
    allSamples: sum(workers),
    workers: workers.filter(({ samples }) => samples > 0).length,
  };
}
