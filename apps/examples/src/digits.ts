/** The digits that chapters train on, from MNIST's files. */

import { usageFailure } from '@lockstep/command';
import { loadMnist } from '@lockstep/data/node';
import { errorMessage } from '@lockstep/data/shown';
import { type Digits, fewDigits, labeledImages } from '@lockstep/lesson';

/** @throws CommandFailure with exit code 2 if the files cannot be used */
export async function loadDigits(directory: string | undefined): Promise<Digits> {
  const { train, test } = await loadImages(directory).catch((error: unknown) => {
    throw usageFailure(`${directory === undefined ? '' : '--data: '}${errorMessage(error)}`);
  });
  const [trainCount, testCount] = [train.labels.length, test.labels.length];
  if (trainCount < fewDigits.train || testCount < fewDigits.test) {
    const expected = `at least ${fewDigits.train} training images and ${fewDigits.test} test images`;
    throw usageFailure(`--data: expected ${expected}, got ${trainCount} and ${testCount}`);
  }
  return { train, test };
}

async function loadImages(directory: string | undefined): Promise<Digits> {
  const { train, test } = await loadMnist(directory);
  return { train: labeledImages(train), test: labeledImages(test) };
}
