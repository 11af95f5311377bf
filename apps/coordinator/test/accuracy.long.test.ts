/** Accuracy that takes minutes to reach. */
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runToReport } from './processes.ts';

const folder = temporaryFolder();

it('the small convolutional net has a test accuracy of 98.5 % after three epochs', async () => {
  const { report } = await runToReport(folder, ['--model', 'cnn', '--epochs', '3']);
  expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThanOrEqual(0.985);
});
