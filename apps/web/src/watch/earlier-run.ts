/** The curves of a run that ended on this server before the current one began. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { type CurveKind, Curves, type CurveView, type RunCurve } from './curves.ts';
import { type RunSummary, summaryOf } from './run-summary.ts';

type Record = WatchMessageOf<'earlierRuns'>['runs'][number];

export class EarlierRun {
  readonly label: string;
  readonly place: number;
  readonly #record: Record;
  readonly #curves = new Curves();

  /** @param place index among the server's runs, from 0 */
  constructor(record: Record, place: number) {
    this.label = record.label;
    this.place = place;
    this.#record = record;
    this.#curves.add(record.points);
  }

  curve(kind: CurveKind, view: CurveView): RunCurve {
    const { stepsPerEpoch, steps: lastStep, epochs } = this.#record;
    return { label: this.label, table: this.#curves.table(kind, epochs, { ...view, stepsPerEpoch, lastStep }) };
  }

  get summary(): RunSummary {
    const { settings, epochs } = this.#record;
    return summaryOf({ place: this.place, label: this.label, settings, seconds: this.#curves.seconds }, epochs);
  }
}
