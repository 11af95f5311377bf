/** What a run tells the program that started it. */
import type { StepResult } from '@lockstep/training';
import type { Listening } from '../network/network.ts';
import type { EpochReport } from '../report/report.ts';

export interface RunListener {
  /** The first step can be computed from now on. */
  started(): void;
  /** @param workers that are ready */
  step(result: StepResult, workers: number): void;
  epoch(report: EpochReport): void;
  /** Called once where the run has a server. */
  listening(listening: Listening): void;
  /** Something that people want to read. */
  line(text: string): void;
  /** No step or epoch comes after this. */
  end(): void;
}
