/**
 * Computes in the socket's own thread, which saves a shard's way to another thread and back, until a shard has taken so
 * long that the socket would go unanswered; from then on another thread computes.
 */
import type { ComputeSetup, KeepingCompute, PixelTable } from '@lockstep/training';

/** Heartbeats come every two seconds; a socket that answers within this is far from being taken for dead. */
const longestMs = 250;

/** @param openFar opens the same arithmetic on another thread; called at most once */
export function createNearCompute(near: KeepingCompute, openFar: () => Promise<KeepingCompute>): KeepingCompute {
  let setup: ComputeSetup | undefined;
  let isTooSlow = false;
  let far: Promise<KeepingCompute> | undefined;
  /** Where pixels are kept now. */
  let keeper = near;
  let kept: { readonly count: number; readonly size: number; table: PixelTable } | undefined;
  /** Weights that the other thread has not been given yet. */
  let weights: Uint8Array | undefined;

  const moved = async (to: ComputeSetup): Promise<KeepingCompute> => {
    const compute = await openFar();
    await compute.open(to);
    if (kept) {
      const table = compute.keepPixels(kept.count, kept.size);
      for (let number = 0; number < kept.count; number++) table.write(number, kept.table.read(number));
      kept.table = table;
    }
    keeper = compute;
    await near.close();
    return compute;
  };

  return {
    backend: near.backend,
    numericMode: near.numericMode,
    threads: near.threads,
    async open(next) {
      setup = next;
      kept = undefined;
      await (far ? (await far).open(next) : near.open(next));
    },
    setWeights(bytes) {
      // Between two steps, so that what is left to do with the weights of the one before is done where they are.
      if (isTooSlow && setup && !far) {
        far = moved(setup);
        // A failure is thrown where the thread is used.
        far.catch(() => {});
      }
      if (far) weights = bytes.slice();
      else near.setWeights(bytes);
    },
    keepPixels(count, size) {
      const made = { count, size, table: keeper.keepPixels(count, size) };
      kept = made;
      // The table that is written to may be another after the move.
      return {
        write: (number, pixels) => made.table.write(number, pixels),
        read: (number) => made.table.read(number),
      };
    },
    async gradient(pixels, labels, key, into) {
      if (far) {
        const compute = await far;
        if (weights) compute.setWeights(weights);
        weights = undefined;
        return compute.gradient(pixels, labels, key, into);
      }
      const result = await near.gradient(pixels, labels, key, into);
      if (result.computeMs > longestMs) isTooSlow = true;
      return result;
    },
    async close() {
      // One that did not open has nothing to close; it has failed where it was used.
      await far?.then((compute) => compute.close()).catch(() => {});
      if (!far) await near.close();
    },
  };
}
