/** The digits that chapters train on, from MNIST's files. */
import { usageFailure } from '@lockstep/command';
import { DataError, type Dataset } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { type Digits, fewestDigits, imageSize, type LabeledImages } from '@lockstep/lesson';

/** @throws CommandFailure with exit code 2 where the files cannot be used */
export async function loadDigits(directory: string | undefined): Promise<Digits> {
  const { train, test } = await loadMnist(directory).catch((error: unknown) => {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  });
  if (train.rows * train.columns !== imageSize) {
    const got = `${train.rows} x ${train.columns}`;
    throw usageFailure(`--data: expected images of ${imageSize} pixels, as 784-128-10 takes, got ${got}`);
  }
  if (train.count < fewestDigits.train || test.count < fewestDigits.test) {
    const expected = `at least ${fewestDigits.train} training images and ${fewestDigits.test} test images`;
    throw usageFailure(`--data: expected ${expected}, got ${train.count} and ${test.count}`);
  }
  return { train: imagesOf(train), test: imagesOf(test) };
}

function imagesOf({ images, labels }: Dataset): LabeledImages {
  return { pixels: images, labels };
}
