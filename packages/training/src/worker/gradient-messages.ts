/** The messages that bring the gradient of a shard: the first with the sums over it, and the chunks after it. */
import { type Checksum, chunkChecksum, gradientChecksum, type MessageOf } from '@lockstep/protocol';
import { announced, chunkRanges } from '../vector-chunks.ts';

type GradientMessage = MessageOf<'gradient'>;

export interface GradientParts {
  /** The shard, and the sums over its samples but the gradient. */
  readonly sum: Pick<GradientMessage, 'step' | 'lo' | 'n' | 'lossSum' | 'correct' | 'count'>;
  readonly parameterCount: number;
  readonly chunkBytes: number;
  /** By kernels; by plain loops where left out. */
  readonly checksum?: Checksum;
  /** The values `[from, to)` of the gradient; their memory may change when those after them are asked for. */
  readonly encode: (from: number, to: number) => Pick<GradientMessage, 'bytes' | 'encoding'>;
  readonly times: () => Pick<GradientMessage, 'computeMs' | 'turnaroundMs'>;
}

/** Makes each message when it is asked for, so that one is on its way while the next is encoded. */
export function* gradientMessages(parts: GradientParts): Generator<MessageOf<'gradient' | 'chunk'>, void> {
  const { sum, parameterCount, chunkBytes, checksum, encode, times } = parts;
  for (const { from, to } of chunkRanges(parameterCount, chunkBytes)) {
    const encoded = encode(from, to);
    if (from > 0) {
      const chunk = { at: from, ...encoded };
      yield { type: 'chunk', ...chunk, checksum: chunkChecksum(chunk, checksum) };
      continue;
    }
    const signed = { ...sum, ...encoded };
    const fields = { ...signed, ...announced(parameterCount, chunkBytes), ...times() };
    yield { type: 'gradient', ...fields, checksum: gradientChecksum(signed, checksum) };
  }
}
