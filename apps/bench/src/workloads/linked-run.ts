/** A run whose workers or relays reach the coordinator over one link: step times, and bytes over the link. */
import { type Dataset, gather } from '@lockstep/data';
import { type Report, relay, type TrainOptions, train } from '@lockstep/train';
import { join, systemClock } from '@lockstep/worker';
import { spread } from '../statistics.ts';
import type { LinkSpeed } from './link-lane.ts';
import { loadTrainingSet } from './mnist-data.ts';
import { ThrottledLink } from './throttled-link.ts';

export interface LinkedRunOptions {
  readonly options: TrainOptions;
  readonly workers: number;
  /** Number of relays among which the workers are divided. By default none: the workers are behind the link. */
  readonly relays?: number | undefined;
  /**
   * Steps before the timed ones. The step after them is not timed either: it may have begun before the link was
   * narrowed.
   */
  readonly warmUpSteps: number;
  /** Link speed during the timed steps; unlimited by default. */
  readonly speed?: LinkSpeed | undefined;
}

export interface LinkedRun {
  /** Median of the timed steps. */
  readonly msPerStep: number;
  /** Bytes over the link in both directions. */
  readonly bytesPerStep: number;
  readonly report: Report;
}

/** The first images of MNIST's training set, for both training and testing. */
export async function firstImages(count: number): Promise<Dataset> {
  const all = await loadTrainingSet();
  if (all.targets.type !== 'classes') throw new Error('MNIST: expected classes');
  const numbers = Uint32Array.from({ length: count }, (_, index) => index);
  const first = gather(all, numbers, 0, count);
  const labels = Uint16Array.from(first.targets);
  return {
    ...{ samples: first.samples, sampleShape: all.sampleShape, count },
    targets: { ...all.targets, labels },
  };
}

export async function runLinked(linked: LinkedRunOptions): Promise<LinkedRun> {
  const { options, warmUpSteps, speed } = linked;
  const stepEndsMs: number[] = [];
  let bytesBefore = 0;
  let link: ThrottledLink | undefined;
  const run = train({
    ...options,
    listen: { port: 0, waitForStart: true },
    onStep({ step }) {
      if (step === warmUpSteps && speed) link?.limit(speed);
      if (step <= warmUpSteps) return;
      if (stepEndsMs.length === 0) bytesBefore = link?.carriedBytes ?? 0;
      stepEndsMs.push(performance.now());
    },
  });
  const { worker: address } = await run.addresses;
  link = new ThrottledLink(systemClock, Number(new URL(address).port));
  try {
    const leave = await startWorkers(`ws://127.0.0.1:${await link.open()}`, linked);
    run.start();
    const { report } = await run.result;
    await leave();
    const times = stepEndsMs.slice(1).map((endMs, index) => endMs - stepEndsMs[index]!);
    const bytesPerStep = (link.carriedBytes - bytesBefore) / times.length;
    return { msPerStep: spread(times).median, bytesPerStep, report };
  } finally {
    await link.close();
  }
}

/**
 * Resolves when all workers are ready.
 * @returns a function that makes them leave: over a narrow link, the end of a run may not reach them before the server
 * cuts their connections
 */
async function startWorkers(url: string, { workers, relays = 0 }: LinkedRunOptions): Promise<() => Promise<void>> {
  const middle = Array.from({ length: relays }, (_, index) =>
    relay(url, { name: `relay ${index + 1}`, listen: { port: 0 } }),
  );
  const urls = relays === 0 ? [url] : await Promise.all(middle.map(addressOf));
  const members = Array.from({ length: workers }, (_, index) =>
    join(urls[index % urls.length]!, { name: `worker ${index + 1}`, backend: 'cpu', wait: true }),
  );
  await Promise.all([...members, ...middle].map(ready));
  return async () => {
    await Promise.all([...members, ...middle].map((member) => member.leave()));
  };
}

async function ready(worker: AsyncIterable<{ readonly type: string }>): Promise<void> {
  for await (const { type } of worker) if (type === 'ready') return;
}

async function addressOf(middle: ReturnType<typeof relay>): Promise<string> {
  for await (const event of middle) if (event.type === 'listening') return event.addresses.local;
  throw new Error('expected a relay that listens');
}
