/** How many images per second workers behind one narrow link train on, for each way to use the link. */
import type { Dataset } from '@lockstep/data';
import { type Report, type TrainOptions, train } from '@lockstep/train';
import type { Benchmark, Fact } from '../benchmark.ts';
import { digits, thousands } from '../figure-text.ts';
import type { LinkSpeed } from '../workloads/link-lane.ts';
import { firstImages, runLinked } from '../workloads/linked-run.ts';

const workers = 4;
const batch = 128;
const [replicas, innerSteps, innerBatch] = [8, 50, 16];
/** Training images of synchronous runs: few, to keep the epochs before the timed steps short. */
const stepImages = 5 * batch;
/** Training images of runs with replicas: one round. */
const roundImages = replicas * innerSteps * innerBatch;
/**
 * Epochs on an unlimited link, until workers have nearly all samples: sending them would hide the cost of the vectors.
 */
const warmUpEpochs = 15;

interface Link {
  readonly name: string;
  readonly speed: LinkSpeed;
  /** Number of timed steps or rounds. */
  readonly steps: number;
  /** Least ratio of images per second with replicas to images per second with synchronous steps. */
  readonly leastTimes: number;
  /** The first mode is synchronous, the last one has replicas. */
  readonly modes: readonly Mode[];
}

interface Mode {
  readonly name: string;
  readonly options: TrainOptions;
  /** Images trained on in an epoch, and in a step or round. */
  readonly images: number;
  readonly stepSamples: number;
  /** Number of relays behind the link, in front of the workers. */
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
  // Only these modes: the others would take minutes on this link.
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

/** Number of untimed steps before the timed ones. */
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

/** Compares replicas with synchronous float32. */
function timesFact({ name, leastTimes }: Link, rates: readonly number[]): Fact {
  const ratio = rates.at(-1)! / rates[0]!;
  return {
    name: `${name}: replicas are at least ${leastTimes} times as fast`,
    holds: ratio >= leastTimes,
    message: `${digits(ratio)} times the images a second of synchronous steps`,
    figures: { times: ratio },
  };
}
