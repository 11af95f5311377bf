/** Accuracy that takes minutes to reach. */
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runToReport } from './processes.ts';

const folder = temporaryFolder();

it.each([
  ['cnn', 3, 0.985],
  ['cnn-large', 5, 0.992],
])('%s reaches its test accuracy after %i epochs', { timeout: 1_800_000 }, async (model, epochs, accuracy) => {
  const { report } = await runToReport(folder, ['--model', model, '--epochs', `${epochs}`]);
  expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThanOrEqual(accuracy);
});
