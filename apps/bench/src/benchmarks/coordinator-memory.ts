/** How much memory a coordinator needs for a large model, as a number of resident parameter vectors. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { CommandFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import type { Benchmark, Fact } from '../benchmark.ts';
import { digits } from '../figure-text.ts';
import { spread } from '../statistics.ts';
import { loadTrainingSet } from '../workloads/mnist-data.ts';
import { writeMnistFiles } from '../workloads/mnist-files.ts';
import { type MemorySamples, measuredVariable } from '../workloads/sample-memory.ts';

const workers = 2;
const steps = 12;
const batch = 64;
const largeUnits = 4_620;
/** Hidden units of the baseline run, whose memory is only that of Node and the samples. */
const smallUnits = 1;
const testSamples = 500;
/** Four vectors are expected: weights, momentum and the gradients of two workers. */
const mostVectors = 6;

export const coordinatorMemory: Benchmark = {
  kind: 'inspection',
  name: 'coordinator-memory',
  title: `Memory of a coordinator with 25 million parameters and ${workers} workers`,
  method: [
    `The program itself: npm start with the layers 784-${largeUnits}-${largeUnits}-10, momentum, ${steps} steps of ${batch} images of MNIST, an evaluation of ${testSamples}, and`,
    `${workers} local workers. Its resident memory, less the most that the same run takes with few parameters (Node and the samples), in vectors of the parameters as`,
    'float32: the most at one time, and the median from the last worker that joins to the evaluation. A missed heartbeat or deadline shows as a worker that is',
    'gone, late or whose shard is given to another.',
  ],
  async facts(progress) {
    progress(`coordinator-memory: ${steps} steps`);
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-coordinator-memory-'));
    try {
      const train = await loadTrainingSet(undefined);
      await writeMnistFiles(train, { trainCount: train.count, testCount: testSamples }, folder);
      const { peakBytes: baseBytes } = await runOnce(folder, smallUnits);
      return memoryFacts(await runOnce(folder, largeUnits), baseBytes);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** Measurements of one run of the program. */
export interface MeasuredRun extends MemorySamples {
  /** When the last worker joined, and when the run was evaluated: milliseconds since 1970. */
  readonly joinedAtMs: number;
  readonly evaluatedAtMs: number;
  readonly report: Pick<Report, 'model' | 'faults' | 'exactness'>;
}

/** @param baseBytes resident bytes without the parameter vectors */
export function memoryFacts(run: MeasuredRun, baseBytes: number): Fact[] {
  const { peakBytes, samples, joinedAtMs, evaluatedAtMs, report } = run;
  const vectorBytes = 4 * report.model.parameters;
  const inVectors = (bytes: number): number => bytes / vectorBytes;
  const training = samples.filter(({ atMs }) => atMs >= joinedAtMs && atMs <= evaluatedAtMs).map(({ bytes }) => bytes);
  const peak = inVectors(peakBytes - baseBytes);
  const median = inVectors(spread(training).median - baseBytes);
  const { disconnects, reassigned, duplicated } = report.faults;
  return [
    {
      name: `at most ${mostVectors} vectors of the parameters are resident, beside Node and the samples`,
      holds: peak <= mostVectors,
      message: `${digits(peak)} at one time, ${digits(median)} while it trains, of ${Math.round(vectorBytes / 1e6)} MB each; Node and the samples take as much as ${digits(inVectors(baseBytes))}`,
      figures: { peakVectors: peak, trainingVectors: median, vectorBytes, baseBytes },
    },
    {
      name: 'no worker is late or gone',
      holds: disconnects + reassigned + duplicated === 0 && report.exactness === 'bit-exact',
      message: `${disconnects} disconnects, ${reassigned} shards given to another worker, ${duplicated} computed twice; ${report.exactness}`,
      figures: { disconnects, reassigned, duplicated },
    },
  ];
}

const program = fileURLToPath(new URL('../../../coordinator/dist/main.js', import.meta.url));
const preload = new URL('../workloads/sample-memory.js', import.meta.url).href;

/** @throws CommandFailure if the program fails */
async function runOnce(folder: string, units: number): Promise<MeasuredRun> {
  const [modelFile, reportFile] = ['model.json', 'report.json'].map((name) => join(folder, name)) as [string, string];
  await writeFile(modelFile, JSON.stringify(modelOf(units)));
  const options = {
    ...{ model: modelFile, report: reportFile, data: folder, port: '0', lr: '0.001' },
    ...{ workers: `${workers}`, steps: `${steps}`, batch: `${batch}` },
  };
  const args = ['start', ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])];
  const child = spawn(process.execPath, [...process.execArgv, '--import', preload, program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, [measuredVariable]: '1' },
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [code, times, failure, memory] = await Promise.all([
    ended,
    timesOf(child.stdout!),
    text(child.stderr!),
    text(child.stdio[3] as NodeJS.ReadableStream),
  ]);
  if (code !== 0) throw new CommandFailure(`the coordinator ended with exit code ${code}: ${failure.trim()}`, 1);
  const report = JSON.parse(await readFile(reportFile, 'utf8')) as Report;
  return { ...(JSON.parse(memory) as MemorySamples), ...times, report };
}

function modelOf(units: number) {
  const hidden = [{ type: 'dense', units }, { type: 'relu' }];
  return { name: `mlp-${units}`, input: [784], layers: [...hidden, ...hidden, { type: 'dense', units: 10 }] };
}

/** When the program last says that a worker joined, and when it says that an epoch was evaluated. */
async function timesOf(stdout: NodeJS.ReadableStream): Promise<Pick<MeasuredRun, 'joinedAtMs' | 'evaluatedAtMs'>> {
  let [joinedAtMs, evaluatedAtMs] = [0, 0];
  for await (const line of createInterface({ input: stdout })) {
    if (/ joined \(/.test(line)) joinedAtMs = Date.now();
    if (/^ *epoch /.test(line)) evaluatedAtMs = Date.now();
  }
  return { joinedAtMs, evaluatedAtMs };
}
