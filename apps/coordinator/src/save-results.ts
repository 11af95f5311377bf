/** Writes a run's model and report; if one cannot be written, the other still is. */
import { CommandFailure, saveFile, saveJson } from '@lockstep/command';
import type { TrainingResult, Verification } from '@lockstep/train';
import { modelFormatOf } from '@lockstep/train/command-line';

export interface Results {
  readonly result: TrainingResult;
  readonly save: string | undefined;
  readonly reportFile: string | undefined;
  /** Takes as long as the run, so it starts once the model is saved; the report includes its outcome. */
  readonly verification: (() => Promise<Verification>) | undefined;
  readonly log: (line: string) => void;
}

/** @returns a sentence for each file that could not be written, and for weights that differ */
export async function saveResults({ result, save, reportFile, verification, log }: Results): Promise<string[]> {
  const { report } = result;
  const failures: string[] = [];
  const attempt = async (write: () => Promise<string>): Promise<void> => {
    try {
      log(await write());
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      failures.push(error.message);
    }
  };
  // The model of an earlier run is worth more than untrained weights.
  if (save !== undefined && report.steps === 0) log(`no step was taken: nothing is saved to ${save}`);
  else if (save !== undefined) {
    await attempt(async () => {
      await saveFile(save, result.modelFile(modelFormatOf(save)));
      return `model after step ${report.steps} saved to ${save}`;
    });
  }
  const { verified = null, failure } = (await verification?.()) ?? {};
  if (failure !== undefined) failures.push(failure);
  if (reportFile !== undefined) {
    await attempt(async () => {
      await saveJson(reportFile, { ...report, verified });
      return `report written to ${reportFile}`;
    });
  }
  return failures;
}
