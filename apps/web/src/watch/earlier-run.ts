/** The curves of a run that the server has had before the current one. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { type CurveKind, Curves, type CurveView, type RunCurve } from './curves.ts';

type Record = WatchMessageOf<'earlierRuns'>['runs'][number];

export class EarlierRun {
  readonly label: string;
  readonly #record: Record;
  readonly #curves = new Curves();

  constructor(record: Record) {
    this.label = record.label;
    this.#record = record;
    this.#curves.add(record.points);
  }

  curve(kind: CurveKind, view: CurveView): RunCurve {
    const { stepsPerEpoch, steps: lastStep, epochs } = this.#record;
    return { label: this.label, table: this.#curves.table(kind, epochs, { ...view, stepsPerEpoch, lastStep }) };
  }
}
