/** What this page knows of the run, as signals; the socket's messages are applied here. */
import type { WatchMessageFrom, WatchMessageOf } from '@lockstep/protocol';
import { signal } from '@preact/signals';
import { Curves, type EpochReport } from './curves.ts';

export type Run = WatchMessageOf<'run'>;
export type Progress = WatchMessageOf<'progress'>;
export type WorkerRow = WatchMessageOf<'workers'>['workers'][number];
export type Timeline = WatchMessageOf<'timeline'>;
export type Evaluation = WatchMessageOf<'evaluation'>;
export type Weights = WatchMessageOf<'weights'>;

export interface LogLine {
  readonly key: number;
  /** When this page heard of it; those from before it came have none. */
  readonly at?: Date;
  readonly message: string;
}

export type Link =
  | { readonly phase: 'connecting' }
  | { readonly phase: 'live' }
  | { readonly phase: 'lost'; readonly message: string };

const maxLogLines = 200;

export function createRoom() {
  const curves = new Curves();
  const room = {
    link: signal<Link>({ phase: 'connecting' }),
    run: signal<Run | undefined>(undefined),
    progress: signal<Progress | undefined>(undefined),
    workers: signal<readonly WorkerRow[]>([]),
    timeline: signal<Timeline | undefined>(undefined),
    epochs: signal<readonly EpochReport[]>([]),
    evaluation: signal<Evaluation | undefined>(undefined),
    weights: signal<Weights | undefined>(undefined),
    log: signal<readonly LogLine[]>([]),
    /** What this page was told that it may not do. */
    refused: signal<string | undefined>(undefined),
    curves,
    /** Changes whenever `curves` or `epochs` do. */
    curvesChanged: signal(0),
    apply,
    say,
  };
  let lines = 0;

  function say(message: string, at: Date | undefined): void {
    const line: LogLine = { key: lines++, message, ...(at === undefined ? {} : { at }) };
    room.log.value = [...room.log.value, line].slice(-maxLogLines);
  }

  function apply(message: WatchMessageFrom<'coordinator'>): void {
    switch (message.type) {
      case 'run':
        room.run.value = message;
        return;
      case 'history':
        curves.clear();
        curves.add(message.points);
        room.epochs.value = message.epochs;
        room.log.value = [];
        for (const event of message.events) say(event, undefined);
        room.curvesChanged.value++;
        return;
      case 'progress':
        room.progress.value = message;
        if (message.points.steps.length > 0) {
          curves.add(message.points);
          room.curvesChanged.value++;
        }
        return;
      case 'workers':
        room.workers.value = message.workers;
        return;
      case 'timeline':
        room.timeline.value = message;
        return;
      case 'epoch':
        room.epochs.value = [
          ...room.epochs.value.filter(({ epoch }) => epoch !== message.report.epoch),
          message.report,
        ];
        room.curvesChanged.value++;
        return;
      case 'evaluation':
        room.evaluation.value = message;
        return;
      case 'weights':
        room.weights.value = message;
        return;
      case 'event':
        say(message.message, new Date());
        return;
      case 'refused':
        room.refused.value = message.message;
        return;
      default:
        message satisfies never;
    }
  }

  return room;
}

export type Room = ReturnType<typeof createRoom>;
