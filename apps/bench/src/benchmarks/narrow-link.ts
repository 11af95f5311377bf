/** How many images a second workers behind one narrow link train on, by what travels over it. */
import type { Dataset } from '@lockstep/data';
import { type Report, type TrainOptions, train } from '@lockstep/train';
import type { Benchmark, Fact } from '../benchmark.ts';
import { digits, thousands } from '../figure-text.ts';
import type { LinkSpeed } from '../workloads/link-lane.ts';
import { firstImages, runLinked } from '../workloads/linked-run.ts';

const workers = 4;
const batch = 128;
const [replicas, innerSteps, innerBatch] = [8, 50, 16];
/** Those that synchronous steps train on: few, so that the epochs before the timed steps are short. */
const stepImages = 5 * batch;
/** Those of a round of replicas. */
const roundImages = replicas * innerSteps * innerBatch;
/** Epochs without a limit, after which a worker has nearly all samples: they would hide what vectors cost. */
const warmUpEpochs = 15;

interface Link {
  readonly name: string;
  readonly speed: LinkSpeed;
  /** Steps, or rounds, that are timed. */
  readonly steps: number;
  /** Of the images a second of synchronous steps, those of replicas. */
  readonly leastTimes: number;
  /** The first is synchronous, the last has replicas. */
  readonly modes: readonly Mode[];
}

interface Mode {
  readonly name: string;
  readonly options: TrainOptions;
  /** Images that it trains on in an epoch, and in a step or round. */
  readonly images: number;
  readonly stepSamples: number;
  /** Those are behind the link then, and the workers behind them. */
  readonly relays?: number;
}

const synchronous = { batch, optimizer: { type: 'sgd' }, verifyRate: 0 } as const;
const steps = { images: stepImages, stepSamples: batch };

const modes: readonly Mode[] = [
  { name: 'synchronous, float32', options: synchronous, ...steps },
  { name: 'synchronous, fp16-exact', options: { ...synchronous, gradients: 'fp16-exact' }, ...steps },
  { name: 'synchronous, float32, behind a relay', options: synchronous, ...steps, relays: 1 },
  {
    name: `${replicas} replicas, ${innerSteps} inner steps`,
    options: { batch: innerBatch, diloco: { replicas, innerSteps }, verifyRate: 0 },
    images: roundImages,
    stepSamples: roundImages,
  },
];

const links: readonly Link[] = [
  { name: '20 Mbit/s, 40 ms', speed: { bytesPerMs: 2_500, latencyMs: 20 }, steps: 20, leastTimes: 10, modes },
  // The others take minutes here.
  {
    ...{ name: '1 Mbit/s, 40 ms', speed: { bytesPerMs: 125, latencyMs: 20 }, steps: 3, leastTimes: 30 },
    modes: [modes[0]!, modes.at(-1)!],
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
    `Steps of ${batch} of ${stepImages} images of MNIST, or rounds of ${thousands(roundImages)}: they travel before the link is narrowed, since each travels once.`,
    'Link, coordinator and workers are one process: what is timed is the link. All must end with the weights of one process.',
  ],
  async facts(progress) {
    const facts: Fact[] = [];
    for (const link of links) {
      const rates: number[] = [];
      for (const mode of link.modes) {
        progress(`narrow-link: ${link.name}, ${mode.name}`);
        const data = await firstImages(mode.images);
        const measurement = await measure(mode, link, data);
        rates.push(measurement.imagesPerSecond);
        facts.push(await modeFact(mode, link, measurement, data));
      }
      facts.push(timesFact(link, rates));
    }
    return facts;
  },
};

/** Steps before the timed ones. */
function warmUpSteps({ images, stepSamples }: Mode): number {
  return (warmUpEpochs * images) / stepSamples;
}

function optionsOf(mode: Mode, link: Link, data: Dataset): TrainOptions {
  const steps = warmUpSteps(mode) + 1 + link.steps;
  return { ...mode.options, data: { train: data, test: data }, steps, epochs: steps, threads: 1 };
}

async function measure(mode: Mode, link: Link, data: Dataset): Promise<Measurement> {
  const { msPerStep, bytesPerStep, report } = await runLinked({
    options: optionsOf(mode, link, data),
    workers,
    relays: mode.relays,
    warmUpSteps: warmUpSteps(mode),
    speed: link.speed,
  });
  const { stepSamples } = mode;
  return { imagesPerSecond: (1000 * stepSamples) / msPerStep, bytesPerImage: bytesPerStep / stepSamples, report };
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
function timesFact({ name, leastTimes }: Link, rates: readonly number[]): Fact {
  const ratio = rates.at(-1)! / rates[0]!;
  return {
    name: `${name}: replicas are at least ${leastTimes} times as fast`,
    holds: ratio >= leastTimes,
    message: `${digits(ratio)} times the images a second of synchronous steps`,
    figures: { times: ratio },
  };
}
