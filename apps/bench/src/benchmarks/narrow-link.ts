/** How many images a second workers behind one narrow link train on, by what travels over it. */
import { type Dataset, gather } from '@lockstep/data';
import { type Report, relay, type TrainOptions, train } from '@lockstep/train';
import { join, systemClock } from '@lockstep/worker';
import type { Benchmark, Fact } from '../benchmark.ts';
import { digits, thousands } from '../figure-text.ts';
import { spread } from '../statistics.ts';
import type { LinkSpeed } from '../workloads/link-lane.ts';
import { loadTrainingSet } from '../workloads/mnist-data.ts';
import { ThrottledLink } from '../workloads/throttled-link.ts';

const workers = 4;
const batch = 128;
const [replicas, innerSteps, innerBatch] = [8, 50, 16];
/** As many as a round of replicas takes. */
const samples = replicas * innerSteps * innerBatch;
/** Epochs without a limit, after which a worker has nearly all samples: they would hide what vectors cost. */
const warmUpEpochs = 15;
const leastTimes = 30;

interface Link {
  readonly name: string;
  readonly speed: LinkSpeed;
  /** Steps, or rounds, that are timed. */
  readonly steps: number;
}

const links: readonly Link[] = [
  { name: '20 Mbit/s, 40 ms', speed: { bytesPerMs: 2_500, latencyMs: 20 }, steps: 20 },
  { name: '1 Mbit/s, 40 ms', speed: { bytesPerMs: 125, latencyMs: 20 }, steps: 3 },
];

interface Mode {
  readonly name: string;
  readonly options: TrainOptions;
  readonly stepSamples: number;
  /** Whether the workers are those of a relay, which is alone behind the link. */
  readonly hasRelay?: boolean;
}

const synchronous = { batch, optimizer: { type: 'sgd' }, verifyRate: 0 } as const;

const modes: readonly Mode[] = [
  { name: 'synchronous, float32', options: synchronous, stepSamples: batch },
  { name: 'synchronous, fp16-exact', options: { ...synchronous, gradients: 'fp16-exact' }, stepSamples: batch },
  { name: 'synchronous, int8-exact', options: { ...synchronous, gradients: 'int8-exact' }, stepSamples: batch },
  {
    name: 'synchronous, float32, behind a relay',
    options: synchronous,
    stepSamples: batch,
    hasRelay: true,
  },
  {
    name: `${replicas} replicas, ${innerSteps} inner steps`,
    options: { batch: innerBatch, diloco: { replicas, innerSteps }, verifyRate: 0 },
    stepSamples: samples,
  },
];

interface Measurement {
  readonly imagesPerSecond: number;
  readonly bytesPerImage: number;
  readonly report: Report;
}

export const narrowLink: Benchmark = {
  kind: 'inspection',
  name: 'narrow-link',
  title: `784-128-10, ${workers} workers behind one link that they share: images a second by what travels`,
  method: [
    `${thousands(samples)} images of MNIST, which travel before the link is narrowed, since each travels once. Steps of ${batch} images, or rounds of ${thousands(samples)}.`,
    'Link, coordinator and workers are one process: what is timed is the link. All must end with the weights of one process.',
  ],
  async facts(progress) {
    const data = await firstSamples();
    const facts: Fact[] = [];
    for (const link of links) {
      const rates: number[] = [];
      for (const mode of modes) {
        progress(`narrow-link: ${link.name}, ${mode.name}`);
        const measurement = await measure(mode, link, data);
        rates.push(measurement.imagesPerSecond);
        facts.push(await modeFact(mode, link, measurement, data));
      }
      facts.push(timesFact(link, rates));
    }
    return facts;
  },
};

async function firstSamples(): Promise<Dataset> {
  const all = await loadTrainingSet();
  if (all.targets.type !== 'classes') throw new Error('narrow-link: expected classes');
  const first = gather(
    all,
    Uint32Array.from({ length: samples }, (_, index) => index),
    0,
    samples,
  );
  const { names } = all.targets;
  return {
    ...{ samples: first.samples, sampleShape: all.sampleShape, count: samples },
    targets: { type: 'classes', labels: first.targets as Uint16Array, names },
  };
}

/** Steps before the timed ones; those of a step that began before the link was narrowed are the last. */
function warmUpSteps({ stepSamples }: Mode): number {
  return (warmUpEpochs * samples) / stepSamples + 1;
}

function optionsOf(mode: Mode, link: Link, data: Dataset): TrainOptions {
  const steps = warmUpSteps(mode) + link.steps;
  return { ...mode.options, data: { train: data, test: data }, steps, epochs: steps, threads: 1 };
}

async function measure(mode: Mode, link: Link, data: Dataset): Promise<Measurement> {
  const stepEndsMs: number[] = [];
  let bytesBefore = 0;
  let narrow: ThrottledLink | undefined;
  const run = train({
    ...optionsOf(mode, link, data),
    listen: { port: 0, waitForStart: true },
    onStep({ step }) {
      if (step === warmUpSteps(mode) - 1) narrow?.limit(link.speed);
      if (step < warmUpSteps(mode)) return;
      if (stepEndsMs.length === 0) bytesBefore = narrow?.carriedBytes ?? 0;
      stepEndsMs.push(performance.now());
    },
  });
  const { worker: address } = await run.addresses;
  narrow = new ThrottledLink(systemClock, Number(new URL(address).port));
  try {
    const behindLink = `ws://127.0.0.1:${await narrow.open()}`;
    const middle = mode.hasRelay ? relay(behindLink, { listen: { port: 0 } }) : undefined;
    const url = middle ? await addressOf(middle) : behindLink;
    const members = Array.from({ length: workers }, (_, index) =>
      join(url, { name: `worker ${index + 1}`, backend: 'cpu', wait: true }),
    );
    await Promise.all([...members, ...(middle ? [middle] : [])].map(ready));
    run.start();
    const { report } = await run.result;
    await Promise.all(members.map(({ done }) => done));
    await middle?.done;
    const times = stepEndsMs.slice(1).map((endMs, index) => endMs - stepEndsMs[index]!);
    const bytes = narrow.carriedBytes - bytesBefore;
    const msPerStep = spread(times).median;
    return {
      imagesPerSecond: (1000 * mode.stepSamples) / msPerStep,
      bytesPerImage: bytes / (times.length * mode.stepSamples),
      report,
    };
  } finally {
    await narrow.close();
  }
}

async function ready(worker: AsyncIterable<{ readonly type: string }>): Promise<void> {
  for await (const { type } of worker) if (type === 'ready') return;
}

async function addressOf(middle: ReturnType<typeof relay>): Promise<string> {
  for await (const event of middle) if (event.type === 'listening') return event.addresses.local;
  throw new Error('narrow-link: expected a relay that listens');
}

async function modeFact(mode: Mode, link: Link, measurement: Measurement, data: Dataset): Promise<Fact> {
  const { imagesPerSecond, bytesPerImage, report } = measurement;
  const alone = await train(optionsOf(mode, link, data)).result;
  const isEqual = alone.report.weightsSha256 === report.weightsSha256;
  const { reassigned, duplicated, disconnects } = report.faults;
  return {
    name: `${link.name}: ${mode.name}`,
    holds: isEqual,
    message:
      `${thousands(imagesPerSecond)} images/s, ${digits(bytesPerImage)} bytes an image over the link, ` +
      `weights ${isEqual ? 'of one process' : 'that DIFFER from those of one process'}; ` +
      `${duplicated} shards twice, ${reassigned} reassigned, ${disconnects} disconnects`,
    figures: { imagesPerSecond, bytesPerImage, duplicated, reassigned, disconnects },
  };
}

/** Replicas against synchronous float32. */
function timesFact({ name }: Link, rates: readonly number[]): Fact {
  const ratio = rates.at(-1)! / rates[0]!;
  return {
    name: `${name}: replicas are at least ${leastTimes} times as fast`,
    holds: ratio >= leastTimes,
    message: `${digits(ratio)} times the images a second of synchronous steps`,
    figures: { times: ratio },
  };
}
