/** Converts samples and their targets to the bytes of a message, and back. */
import { type Dataset, type SampleBatch, sampleSize } from '@lockstep/data';
import { bytesOf, floatsOf, halfWordsFrom, type MessageOf } from '@lockstep/protocol';

/** Layout of samples and targets in messages. */
export type DataFormat = Pick<MessageOf<'welcome'>, 'sampleType' | 'sampleShape' | 'targetType'>;

export function formatOf({ samples, sampleShape, targets }: Dataset): DataFormat {
  const sampleType = samples instanceof Uint8Array ? 'u8' : 'f32';
  return { sampleType, sampleShape: [...sampleShape], targetType: targets.type };
}

type BatchBytes = Pick<MessageOf<'task'>, 'count' | 'samples' | 'targets'>;

/** Returns views of the batch's memory, without copying. */
export function encodeBatch({ samples, targets, count }: SampleBatch): BatchBytes {
  return { count, samples: bytesOf(samples), targets: bytesOf(targets) };
}

/** Decodes a batch, as views if the alignment allows it. @throws Error if the samples have another size */
export function decodeBatch(format: DataFormat, { count, samples, targets }: BatchBytes): SampleBatch {
  const { sampleType, targetType } = format;
  const expected = count * sampleSize(format) * (sampleType === 'u8' ? 1 : 4);
  const fits = targetType === 'classes' ? targets.length === 2 * count : targets.length % (4 * count || 1) === 0;
  if (samples.length !== expected || !fits) {
    const shape = `${sampleType} [${format.sampleShape.join(', ')}] with ${targetType}`;
    const got = `${samples.length} and ${targets.length} bytes`;
    throw new Error(`task: expected ${count} samples of ${shape}, got ${got}`);
  }
  return {
    count,
    samples: sampleType === 'u8' ? samples : floatsOf(samples),
    targets: targetType === 'classes' ? halfWordsFrom(targets) : floatsOf(targets),
  };
}
