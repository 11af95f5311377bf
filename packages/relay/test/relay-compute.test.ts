/** A relay computes with the newest weights, whether they are of a later step or, after a restart above, of an earlier one. */
import type { Compute } from '@lockstep/compute';
import { expect, it } from 'vitest';
import { createRelayCompute, type RelayRun } from '../src/relay-run.ts';

/** The run below: its workers have the weights of one step, and take none of an earlier step unless they go back. */
class Below {
  step = -1;
  weights = 0;

  setWeights(bytes: Uint8Array, step: number): boolean {
    if (step < this.step) return false;
    this.step = step;
    this.weights = bytes[0]!;
    return true;
  }

  goBack(step: number): void {
    this.step = Math.min(this.step, step - 1);
  }

  async gradient() {
    return { lossSum: this.weights };
  }
}

/** Numbers are steps whose weights arrive; `ask` asks for a shard, `back 3` goes back to step 3. */
it.each<[did: string, renewals: number]>([
  ['1 ask 2 ask ask', 0],
  ['5 ask 3 ask ask 4 ask', 1],
  ['5 ask 3 4 ask ask', 1],
  ['5 ask 3 7 ask', 0],
  ['5 ask back 3 3 ask', 0],
  ['5 ask 4 back 3 3 ask', 0],
  ['5 ask 4 ask-back 3 3 ask', 2],
])('%s', async (did, renewals) => {
  let [below, renewed, arrived]: [Below | undefined, number, number] = [new Below(), 0, 0];
  let isCanceled = false;
  let onRenewal = (): void => {};
  const compute = createRelayCompute({
    ...{ local: {} as Compute, threads: () => 1, present: async () => {}, open: async () => {} },
    run: () => below as unknown as RelayRun | undefined,
    async renew() {
      renewed += 1;
      below = undefined;
      await undefined;
      onRenewal();
      below = new Below();
    },
  });
  const ask = async () =>
    compute.gradient(new Uint8Array(), new Uint8Array(), {
      ...{ shard: { step: 0, lo: 0, n: 1 }, isCanceled: () => isCanceled },
    });
  const words = did.split(' ');
  for (const [index, word] of words.entries()) {
    const step = Number(words[index + 1]);
    if (word === 'ask') expect(await ask()).toEqual({ lossSum: arrived });
    else if (word === 'back') compute.goBack!(step);
    else if (word === 'ask-back') {
      // The session cancels its tasks.
      onRenewal = () => {
        isCanceled = true;
        compute.goBack!(step);
      };
      await expect(ask()).rejects.toThrow('the shard was canceled');
      isCanceled = false;
      onRenewal = () => {};
    } else if (!(words[index - 1] ?? '').includes('back')) {
      arrived += 1;
      compute.setWeights(Uint8Array.of(arrived), Number(word));
    }
  }
  expect(renewed).toBe(renewals);
});
