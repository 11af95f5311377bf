/** The state of the watched run as signals, fed with the messages of the dashboard socket. */
import type { WatchMessageFrom, WatchMessageOf } from '@lockstep/protocol';
import { computed, signal } from '@preact/signals';
import { type CurveKind, Curves, type CurveTable, type EpochReport } from './curves.ts';

export type Run = WatchMessageOf<'run'>;
export type Progress = WatchMessageOf<'progress'>;
export type WorkerRow = WatchMessageOf<'workers'>['workers'][number];
export type Timeline = WatchMessageOf<'timeline'>;
export type Evaluation = WatchMessageOf<'evaluation'>;
export type Checkpoint = WatchMessageOf<'checkpoint'>;

/** Whether samples are [height, width, channels], gray or in color; MNIST before it is known. */
export function isPicture(run: Run | undefined): boolean {
  const [, , channels = 1] = run?.sampleShape ?? [];
  return run === undefined || (run.sampleShape.length === 3 && (channels === 1 || channels === 3));
}

export interface LogLine {
  readonly key: number;
  /** When this page received it; absent for lines from before the page connected. */
  readonly at: Date | undefined;
  readonly text: string;
}

export type Connection =
  | { readonly phase: 'connecting' | 'live' }
  /** A lost connection is tried again, a refused one is not. */
  | { readonly phase: 'lost' | 'refused'; readonly reason: string };

const maxLogLines = 200;

export class RunStore {
  readonly connection = signal<Connection>({ phase: 'connecting' });
  readonly run = signal<Run>();
  readonly progress = signal<Progress>();
  readonly workers = signal<readonly WorkerRow[]>([]);
  readonly timeline = signal<Timeline>();
  readonly epochs = signal<readonly EpochReport[]>([]);
  readonly evaluation = signal<Evaluation>();
  readonly weights = signal<WatchMessageOf<'weights'>>();
  /** Absent in a run that writes no checkpoints. */
  readonly checkpoint = signal<Checkpoint>();
  readonly log = signal<readonly LogLine[]>([]);
  /** Why the coordinator rejected this page's last request. */
  readonly rejection = signal<string>();
  /** Changes whenever `curveTable` returns something new. */
  readonly curvesVersion = signal(0);
  readonly isOver = computed(() => ['finished', 'failed'].includes(this.progress.value?.phase ?? ''));
  readonly #curves = new Curves();
  #logLineCount = 0;

  curveTable(kind: CurveKind): CurveTable {
    return this.#curves.table(kind, this.epochs.peek(), this.run.peek()?.stepsPerEpoch ?? 1);
  }

  apply(message: WatchMessageFrom<'coordinator'>): void {
    switch (message.type) {
      case 'run':
        this.run.value = message;
        // Sent after it where there is one: the coordinator may be another than before.
        this.checkpoint.value = undefined;
        return;
      case 'history':
        this.#curves.clear();
        this.#curves.add(message.points);
        this.epochs.value = message.epochs;
        this.log.value = [];
        this.#appendToLog(message.events, undefined);
        this.curvesVersion.value++;
        return;
      case 'progress':
        this.progress.value = message;
        if (message.points.steps.length === 0) return;
        this.#curves.add(message.points);
        this.curvesVersion.value++;
        return;
      case 'workers':
        this.workers.value = message.workers;
        return;
      case 'timeline':
        this.timeline.value = message;
        return;
      case 'epoch': {
        const { report } = message;
        this.epochs.value = [...this.epochs.value.filter(({ epoch }) => epoch !== report.epoch), report];
        this.curvesVersion.value++;
        return;
      }
      case 'evaluation':
        this.evaluation.value = message;
        return;
      case 'weights':
        this.weights.value = message;
        return;
      case 'checkpoint':
        this.checkpoint.value = message;
        return;
      case 'event':
        this.#appendToLog([message.message], new Date());
        return;
      case 'refused':
        this.rejection.value = message.message;
        return;
      default:
        message satisfies never;
    }
  }

  #appendToLog(texts: readonly string[], at: Date | undefined): void {
    const lines = texts.map((text) => ({ key: this.#logLineCount++, text, at }));
    this.log.value = [...this.log.value, ...lines].slice(-maxLogLines);
  }
}
