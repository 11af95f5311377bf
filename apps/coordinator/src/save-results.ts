/** Writes what a run leaves behind: its model and its report, each also where the other cannot be written. */
import { CommandFailure, saveJson } from '@lockstep/command';
import { FileError } from '@lockstep/files';
import { type ModelSnapshot, type Report, saveModel, type Verification } from '@lockstep/train';

export interface Results {
  readonly save: string | undefined;
  readonly snapshot: ModelSnapshot;
  readonly reportFile: string | undefined;
  readonly report: Report;
  /** Takes as long as the run, and so comes when the model is safe; the report has what it finds. */
  readonly verification: (() => Promise<Verification>) | undefined;
  readonly log: (line: string) => void;
}

/** @returns a sentence for each file that could not be written, and for weights that differ */
export async function saveResults(results: Results): Promise<string[]> {
  const { save, snapshot, reportFile, report, verification, log } = results;
  const failures: string[] = [];
  const attempt = async (write: () => Promise<string>): Promise<void> => {
    try {
      log(await write());
    } catch (error) {
      if (!(error instanceof CommandFailure || error instanceof FileError)) throw error;
      failures.push(error.message);
    }
  };
  if (save !== undefined) await attempt(() => saveModel(save, snapshot));
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
