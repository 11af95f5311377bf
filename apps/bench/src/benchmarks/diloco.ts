/** The bytes and time that rounds of replicas save over synchronous steps on the same number of samples. */
import { type Report, type TrainOptions, train } from '@lockstep/train';
import type { Benchmark, Fact } from '../benchmark.ts';
import { digits, ends, times } from '../figure-text.ts';
import { pairedRatios, spread } from '../statistics.ts';
import { firstImages, runLinked } from '../workloads/linked-run.ts';

const [replicas, innerSteps, innerBatch] = [8, 50, 16];
const batch = replicas * innerBatch;
const epochs = 5;
const turns = 3;
/** Images of the runs whose bytes are counted: few enough that each worker soon has them all. */
const countedSamples = 2 * batch * innerSteps;
/** After the warm-up, all but one image in a thousand have been sent to both workers. */
const [warmUpEpochs, countedEpochs] = [10, 8];
const least = { bytes: 40, againstOneProcess: 1.3, againstOneWorker: 1.7 } as const;

/** Limit for the mean over all turns: synchronous runs that differ only in the seed differ by as much. */
const mostAccuracyLost = 0.003;

const modes = {
  'one process, synchronous': { batch, epochs, threads: 1 },
  'two workers, synchronous': { batch, epochs, workers: 2, threads: 1 },
  'one worker, replicas': {
    diloco: { replicas, innerSteps },
    batch: innerBatch,
    epochs,
    workers: 1,
    threads: 1,
  },
  'two workers, replicas': {
    diloco: { replicas, innerSteps },
    batch: innerBatch,
    epochs,
    workers: 2,
    threads: 1,
  },
} as const satisfies Readonly<Record<string, TrainOptions>>;

type Mode = keyof typeof modes;

export const diloco: Benchmark = {
  kind: 'inspection',
  name: 'diloco',
  title: `784-128-10: ${replicas} replicas with ${innerSteps} inner steps of ${innerBatch} samples against synchronous steps of ${batch}`,
  method: [
    `${turns} turns of all four, each with a seed of its own, ${epochs} epochs of MNIST each, one compute thread in each process; a rate is that of the median`,
    `epoch after the first, in which samples travel, and a ratio that of one turn. Bytes are those over the workers' link in ${countedEpochs} epochs of the first`,
    `${countedSamples.toLocaleString('en-US')} images, after ${warmUpEpochs} in which these travel: both ways of training send each image once to each worker.`,
  ],
  async facts(progress) {
    const reports = new Map<Mode, Report[]>();
    for (let turn = 0; turn < turns; turn++) {
      for (const mode of Object.keys(modes) as Mode[]) {
        progress(`diloco: turn ${turn + 1} of ${turns}, ${mode}`);
        const { report } = await train({ ...modes[mode], seed: turn + 1 }).result;
        reports.set(mode, [...(reports.get(mode) ?? []), report]);
      }
    }
    const of = (mode: Mode): readonly Report[] => reports.get(mode)!;
    const [one, two] = [of('one worker, replicas'), of('two workers, replicas')];
    return [
      await bytesFact(of('two workers, synchronous')[0]!, two[0]!, progress),
      accuracyFact(of('two workers, synchronous'), two),
      speedFact('one process, synchronous', of('one process, synchronous'), two, least.againstOneProcess),
      speedFact('one worker, replicas', one, two, least.againstOneWorker),
    ];
  },
};

async function bytesFact(synchronous: Report, withReplicas: Report, progress: (text: string) => void): Promise<Fact> {
  const perSample: number[] = [];
  for (const mode of ['two workers, synchronous', 'two workers, replicas'] as const) {
    progress(`diloco: bytes of ${mode}`);
    perSample.push(await bytesPerSample(mode));
  }
  const [before, after] = perSample as [number, number];
  const bytesOf = ({ wire }: Report): number => wire.bytesSent + wire.bytesReceived;
  const withSamples = bytesOf(synchronous) / bytesOf(withReplicas);
  return {
    name: `at least ${least.bytes} times fewer bytes a sample`,
    holds: before / after >= least.bytes,
    message: `${times(before / after)}: ${Math.round(before)} against ${Math.round(after)} bytes; ${times(withSamples)} with the images, which travel to both workers within ${epochs} epochs`,
    figures: { times: before / after, timesWithSamples: withSamples, synchronousBytes: before, replicaBytes: after },
  };
}

/** Bytes per sample that two workers send and receive in total, once they have the images. */
async function bytesPerSample(name: 'two workers, synchronous' | 'two workers, replicas'): Promise<number> {
  const { workers, ...mode }: TrainOptions & { readonly workers: number } = modes[name];
  const data = await firstImages(countedSamples);
  const stepSamples = mode.diloco ? batch * innerSteps : batch;
  const warmUpSteps = (warmUpEpochs * countedSamples) / stepSamples;
  const steps = warmUpSteps + 1 + (countedEpochs * countedSamples) / stepSamples;
  const options = { ...mode, data: { train: data, test: data }, steps, epochs: warmUpEpochs + countedEpochs + 1 };
  const { bytesPerStep } = await runLinked({ options, workers, warmUpSteps });
  return bytesPerStep / stepSamples;
}

function accuracyFact(synchronous: readonly Report[], withReplicas: readonly Report[]): Fact {
  const accuraciesOf = (reports: readonly Report[]): number[] =>
    reports.map((report) => report.epochs.at(-1)?.testAccuracy ?? 0);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value) / values.length;
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  const [before, after] = [accuraciesOf(synchronous), accuraciesOf(withReplicas)];
  const text = (values: readonly number[]): string => `${percent(mean(values))} (${values.map(percent).join(', ')})`;
  return {
    name: `test accuracy within ${percent(mostAccuracyLost)}, the mean of ${turns} seeds`,
    holds: mean(before) - mean(after) <= mostAccuracyLost,
    message: `${text(after)} against ${text(before)}, after ${epochs} epochs`,
    figures: { accuracy: mean(after), synchronousAccuracy: mean(before) },
  };
}

/** Whether two workers with replicas are `leastTimes` times as fast as `others`, turn by turn. */
function speedFact(name: Mode, others: readonly Report[], two: readonly Report[], leastTimes: number): Fact {
  const msPerSample = ({ epochs: all }: Report): number =>
    spread(all.slice(1).map(({ imagesPerSecond }) => 1000 / imagesPerSecond)).median;
  const speedUp = spread(pairedRatios(others.map(msPerSample), two.map(msPerSample)));
  const rateOf = (reports: readonly Report[]): number => 1000 / spread(reports.map(msPerSample)).median;
  const [otherRate, rate] = [rateOf(others), rateOf(two)];
  const text = (value: number): string => `${Math.round(value).toLocaleString('en-US')} images/s`;
  return {
    name: `two workers are ${leastTimes} times as fast as ${name}`,
    holds: speedUp.median >= leastTimes,
    message: `${times(speedUp.median)} ${ends(speedUp, digits)}: ${text(otherRate)}, ${text(rate)} with two workers`,
    figures: { speedUp: speedUp.median, imagesPerSecond: rate, otherImagesPerSecond: otherRate },
  };
}
