/** Two coordinators that lead one run at the same time compute the same weights. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { audit, type StepEvent, type TrainOptions, train } from '@lockstep/train';
import { expect, it } from 'vitest';
import { Fleet } from '../../../packages/fleet/src/fleet.ts';
import { leaseMs } from '../../../packages/fleet/src/lease.ts';
import { MemoryStore } from '../../../packages/fleet/test/memory-store.ts';
import { VirtualTime } from '../../../packages/fleet/test/virtual-time.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyData, tinyModel } from '../../../packages/train/test/tiny-dataset.ts';

const folder = temporaryFolder();
const asked: TrainOptions = { data: tinyData, model: tinyModel, batch: 16, steps: 120, backend: 'cpu', threads: 1 };

it('a leader that lost its lease and does not know finishes with the weights of the one that took over', async () => {
  const { report: alone } = await train(asked).result;
  const [store, time] = [new MemoryStore(), new VirtualTime()];
  /** @param pauseAfter step after which to pause; checked at each step, so that the run cannot end first */
  const begin = (transcript?: string, pauseAfter?: number) => {
    const link = store.link();
    const { signal } = new AbortController();
    const lines: string[] = [];
    const options = { standby: true, name: 'here', signal, log: (line: string) => void lines.push(line) };
    const coordinator = new Fleet(link, 'x', time).coordinator(options);
    const onStep = ({ step }: StepEvent): void => {
      if (step === pauseAfter) run.pause();
    };
    const run = train({ ...asked, transcript, onStep, checkpoint: { store: coordinator, every: { steps: 10 } } });
    const followed = (async () => {
      for await (const event of run) lines.push('message' in event ? event.message : event.type);
    })();
    return { link, coordinator, run, lines, followed };
  };

  /** Advances virtual time until a line of the run matches. */
  const noted = async ({ lines }: ReturnType<typeof begin>, pattern: RegExp): Promise<void> => {
    while (!lines.some((line) => pattern.test(line))) {
      await time.advance(leaseMs.renewEvery);
      await new Promise(setImmediate);
    }
  };

  const [one, other] = [join(folder, 'one.transcript'), join(folder, 'other.transcript')];
  const first = begin(one, 40);
  await noted(first, /^checkpoint/);
  const second = begin(other);
  await noted(second, /^Standby: /);
  first.link.fault = 'cut';
  await noted(second, /^Resumed from checkpoint-\S+ in run x of the fleet at memory, after step \d+ of 120/);
  first.run.resume();
  // The first one waits in vain for the store, before it writes its last checkpoint.
  await noted(first, /^the transcript could not be written/);
  const ends = await Promise.all([first.run.result, second.run.result, first.followed, second.followed]);

  expect(first.coordinator.deposed.aborted).toBe(false);
  for (const { report } of [ends[0], ends[1]]) {
    expect(report.steps).toBe(120);
    expect(report.weightsSha256).toBe(alone.weightsSha256);
  }
  expect(first.lines).toContainEqual(
    expect.stringMatching(/^the transcript could not be written at step 120: no answer/),
  );
  const { isRight, led } = await audit(readFileSync(other), { data: tinyData });
  expect({ isRight, to: led.map(({ to }) => to) }).toEqual({ isRight: true, to: [expect.any(Number), 120] });

  await second.coordinator.close();
  const third = begin();
  await expect(third.run.result).rejects.toThrow(
    'x has another configuration in this fleet: expected transcript recorded, got none; use another name for another run',
  );
  await third.followed.catch(() => {});
}, 60_000);
