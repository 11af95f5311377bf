/** The weights that a worker has, brought from step to step by what the coordinator sends: all of them, or what has changed. */
import { applyChanges, bytesOf, floatsFrom, type MessageOf } from '@lockstep/protocol';

/**
 * @returns takes messages in the order of their sending and gives all parameters, in memory that the next call may use.
 * Throws an Error where the changes are not since the weights that it has.
 */
export function createHeldWeights(): (message: MessageOf<'weights'>) => Uint8Array {
  let step = -1;
  /** The newest that came whole; not copied, since most runs send nothing else. */
  let whole: Uint8Array | undefined;
  let own: Float32Array | undefined;

  return ({ step: next, since, bytes }) => {
    if (since === undefined) {
      whole = bytes;
      own = undefined;
      step = next;
      return bytes;
    }
    if (since !== step || !(own ?? whole)) {
      throw new Error(`weights: expected changes since step ${step}, got some since step ${since}`);
    }
    own ??= floatsFrom(whole!);
    whole = undefined;
    applyChanges(bytes, own);
    step = next;
    return bytesOf(own);
  };
}
