/** Benchmarks of whole runs, whose workers are in other processes: a coordinator, its relays, and rounds of replicas. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { version } from '@lockstep/command';
import { createShardSource } from '@lockstep/compute';
import { classTargets, type Dataset, samplesOf } from '@lockstep/data';
import { plural, thousands } from '@lockstep/data/shown';
import { createMicrobatchGradient, initialize } from '@lockstep/nn';
import { planRun } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { relay, type TrainOptions, train } from '@lockstep/train';
import { join } from '@lockstep/worker';
import { type Benchmark, type Case, type Child, type Implementation, startChild } from '../harness.ts';
import { mlpNet, mnist } from '../work.ts';
import { changeDistance, cutBatches, loadTrainingSet } from './steps.ts';

const { model } = mlpNet;
const seed = 1;
const initial = initialize(model, seed);

/** The first images of MNIST; a few of them are the test set, because evaluations are not measured. */
async function firstImages(count: number): Promise<{ readonly train: Dataset; readonly test: Dataset }> {
  const { targets, samples } = await loadTrainingSet();
  const first = (size: number): Dataset => {
    const [batch] = cutBatches({ samples, targets }, size, 1);
    const labels = Uint16Array.from(batch!.labels);
    return {
      samples: samplesOf(batch!.samples, samples.shape),
      targets: classTargets(labels, targets.names),
      count: size,
    };
  };
  return { train: first(count), test: first(64) };
}

/** The workers of a run: processes with as many workers each, behind as many relays in the same process. */
interface Workers {
  readonly processes: number;
  readonly each: number;
  readonly relays?: number;
}

/** Asks a process for workers. It answers when they are ready, and again when the run has ended. */
interface WorkersRequest extends Omit<Workers, 'processes'> {
  /** Address of a coordinator; a bare star listens on a port. */
  readonly url?: string;
  readonly port?: number;
}

const program = fileURLToPath(new URL('../main.js', import.meta.url));
// The flag with which the product's commands start Node.
const startWorkers = (): Child => startChild(process.execPath, ['--no-incremental-marking', program, 'workers'], {});

/** Steps of each burst before the clock starts: newly opened sockets have small windows, and samples have to travel. */
const warmUpSteps = 60;

interface RunOptions {
  readonly options: TrainOptions;
  /** Undefined for a run in this process alone. */
  readonly workers: Workers | undefined;
  /** Steps of the run that make up one step of the benchmark, of which `warmUp` come before the clock starts. */
  readonly stepsOfOne: number;
  readonly warmUp: number;
}

/** A run as a candidate: each burst is a run of its own, whose last steps are timed. */
async function openRun({ options, workers, stepsOfOne, warmUp }: RunOptions): Promise<Implementation> {
  const children = Array.from({ length: workers?.processes ?? 0 }, startWorkers);
  const askAll = (...line: string[]) => Promise.all(children.map((child) => child.ask(...line)));
  let weights = new Float32Array();
  return {
    version,
    notes: [workers ? notesOf(workers) : 'one process, no sockets'],
    async run(steps) {
      const [first, last] = [warmUp * stepsOfOne, (warmUp + steps) * stepsOfOne];
      let [startedMs, endedMs] = [0, 0];
      const run = train({
        ...{ ...options, seed, steps: last, epochs: last, threads: 1 },
        // With replicas, each is computed by one worker, however many there are.
        ...(workers && !options.diloco && { expect: workers.processes * workers.each }),
        ...(workers && { listen: { port: 0, waitForStart: true } }),
        onStep({ step }) {
          if (step === first) startedMs = performance.now();
          if (step === last) endedMs = performance.now();
        },
      });
      try {
        if (workers) {
          const { worker: url } = await run.addresses;
          await askAll(`${JSON.stringify({ ...workers, url } satisfies WorkersRequest)}\n`);
          run.start();
        }
        [{ weights }] = await Promise.all([run.result, askAll()]);
      } finally {
        await run.stop();
      }
      return endedMs - startedMs;
    },
    result: async () => weights,
    close: async () => void (await Promise.all(children.map((child) => child.close()))),
  };
}

function notesOf({ processes, relays = 0 }: Workers): string {
  const behind = relays === 0 ? '' : ` behind ${relays} relays`;
  return `workers of one thread, ${processes === 1 ? `all in one process${behind}` : 'each in a process of its own'}`;
}

/** The weights after a run in this process, which every other way to run it must give. */
async function referenceOf(options: TrainOptions, steps: number): Promise<Float32Array> {
  const { weights } = await train({ ...options, seed, steps, epochs: steps, threads: 1 }).result;
  return weights;
}

/** The workers of a burst, in this process, until stdin ends. */
export async function serveWorkers(): Promise<number> {
  const { backend } = (await openBackend('cpu')) as { readonly backend: HostBackend };
  for await (const line of createInterface({ input: process.stdin })) {
    const { url, port, each, relays = 0 } = JSON.parse(line) as WorkersRequest;
    const { ended } = url === undefined ? openBareWorkers(backend, port!, each) : await openMembers(url, each, relays);
    process.stdout.write('{}\n');
    await ended;
    process.stdout.write('{}\n');
  }
  return 0;
}

/** Resolves when all are ready, with the promise of their end. */
async function openMembers(url: string, count: number, relays: number) {
  const middle = Array.from({ length: relays }, (_, index) =>
    relay(url, { name: `relay ${index + 1}`, listen: { port: 0 } }),
  );
  const urls = relays === 0 ? [url] : await Promise.all(middle.map(addressOf));
  const members = Array.from({ length: count }, (_, index) =>
    join(urls[index % urls.length]!, { name: `worker ${index + 1}`, backend: 'cpu' }),
  );
  const all = [...middle, ...members];
  await Promise.all(all.map(ready));
  return { ended: Promise.all(all.map(({ done }) => done)) };
}

async function ready(member: AsyncIterable<{ readonly type: string }>): Promise<void> {
  for await (const { type } of member) if (type === 'ready') return;
}

async function addressOf(middle: ReturnType<typeof relay>): Promise<string> {
  for await (const event of middle) if (event.type === 'listening') return event.addresses.local;
  throw new Error('expected a relay that listens');
}

const vectorBytes = 4 * initial.length;
const sampleBytes = mnist.pixels + 1;

/** Calls `take` with each frame of `size` bytes, all in the same memory. */
function eachFrame(socket: Socket, size: number, take: (frame: ArrayBuffer) => void): void {
  const frame = new Uint8Array(size);
  let filled = 0;
  socket.setNoDelay(true).on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + size - filled);
      frame.set(part, filled);
      at += part.length;
      filled = (filled + part.length) % size;
      if (filled === 0) take(frame.buffer);
    }
  });
}

/** Workers of a bare star: weights and a sample come in, its gradient goes out. */
function openBareWorkers(backend: HostBackend, port: number, count: number) {
  const parameters = backend.allocate(initial.length);
  const gradient = createMicrobatchGradient(backend, model, 1, parameters);
  const ended = Array.from({ length: count }, () => {
    const socket = connect(port, '127.0.0.1');
    eachFrame(socket, vectorBytes + sampleBytes, (frame) => {
      backend.upload(parameters, new Float32Array(frame, 0, initial.length));
      const labels = Uint16Array.from(new Uint8Array(frame, vectorBytes + mnist.pixels));
      gradient.run(new Uint8Array(frame, vectorBytes, mnist.pixels), labels);
      socket.write(new Uint8Array(backend.view(gradient.output).slice(0, initial.length).buffer));
    });
    return once(socket, 'close');
  });
  return {
    ended: Promise.all(ended).then(() => {
      gradient.dispose();
      backend.free(parameters);
    }),
  };
}

/** The least that moves the same bytes over TCP, adds and steps: nothing is checked, nobody may be late. */
async function openBareStar(workers: number, data: Dataset): Promise<Implementation> {
  const child = startWorkers();
  const weights = new Float32Array(initial.length);
  const sum = new Float32Array(initial.length);
  return {
    version: process.version,
    notes: ['TCP, frames of fixed sizes, sums and SGD in plain loops, nothing checked; workers all in one process'],
    async run(steps) {
      const last = warmUpSteps + steps;
      const plan = planRun({ samples: data.count, batch: workers, epochs: last, steps: last, microbatchSize: 1 });
      const source = createShardSource(data, plan, seed);
      weights.set(initial);
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const elapsed = new Promise<number>((resolve) => {
        const sockets: Socket[] = [];
        let [step, arrived, startedMs] = [0, 0, 0];
        const send = (): void => {
          for (const [worker, socket] of sockets.entries()) {
            const { samples, targets } = source.shard(step, worker, 1);
            socket.write(new Uint8Array(weights.buffer));
            socket.write(Uint8Array.of(...samples, ...targets));
          }
        };
        const add = (gradient: Float32Array): void => {
          for (let index = 0; index < sum.length; index++) sum[index]! += gradient[index]!;
          arrived += 1;
          if (arrived < workers) return;
          arrived = 0;
          for (let index = 0; index < sum.length; index++) weights[index]! -= (learningRate * sum[index]!) / workers;
          sum.fill(0);
          step += 1;
          if (step === warmUpSteps) startedMs = performance.now();
          if (step < last) {
            send();
            return;
          }
          resolve(performance.now() - startedMs);
          for (const socket of sockets) socket.end();
        };
        server.on('connection', (socket) => {
          sockets.push(socket);
          eachFrame(socket, vectorBytes, (frame) => add(new Float32Array(frame)));
          if (sockets.length === workers) send();
        });
      });
      const { port } = server.address() as AddressInfo;
      await child.ask(`${JSON.stringify({ port, each: workers } satisfies WorkersRequest)}\n`);
      const [ms] = await Promise.all([elapsed, child.ask()]);
      server.close();
      return ms;
    },
    result: async () => weights,
    close: () => child.close(),
  };
}

const learningRate = 0.01;
const sgd = { optimizer: { type: 'sgd', learningRate }, verifyRate: 0 } as const;
/** As many as a burst has, so that the first one is not followed by ever longer ones. */
const checkedSteps = 100;

const coordinatorThroughput: Benchmark = {
  name: 'coordinator-throughput',
  title: 'A coordinator, with and without relays: steps of 784-128-10 with one image for each worker',
  method: [
    `For each worker and step ${thousands(vectorBytes)} bytes of weights go out and as many of gradient come back, over loopback; its`,
    `arithmetic is that of one image. Each burst is a run of its own, whose first ${warmUpSteps} steps are not timed.`,
    'This process is the coordinator; another one has all workers and relays. Lockstep checks every message and every number,',
    'keeps deadlines, adds in a fixed tree and takes an SGD step. The bare star sends, adds and steps, and checks nothing.',
    '"Off by" is the relative distance of the change of the weights from that of one process.',
  ],
  cases: () => Promise.all([1, 4, 8].map(coordinatorCase)),
};

async function coordinatorCase(count: number): Promise<Case> {
  const data = await firstImages(8_192);
  const options: TrainOptions = { ...sgd, data, batch: count, microbatch: 1 };
  const open = (relays: number) => () =>
    openRun({ options, workers: { processes: 1, each: count, relays }, stepsOfOne: 1, warmUp: warmUpSteps });
  return {
    name: plural(count, 'worker'),
    workPerStep: { amount: (2 * count * vectorBytes) / 1e6, unit: 'MB' },
    checkedSteps,
    tolerance: 1e-4,
    distance: changeDistance(initial, await referenceOf(options, warmUpSteps + checkedSteps)),
    candidates: [
      { name: 'lockstep', open: open(0) },
      ...(count < 4 ? [] : [{ name: 'lockstep, 2 relays', open: open(2) }]),
      { name: 'bare star', open: () => openBareStar(count, data.train) },
    ],
  };
}

const [replicas, innerSteps, innerBatch] = [8, 50, 64];
const roundImages = replicas * innerSteps * innerBatch;
const warmUpRounds = 10;

const diloco: Benchmark = {
  name: 'diloco',
  title: `784-128-10 on MNIST: rounds of ${replicas} replicas with ${innerSteps} inner steps (DiLoCo) against synchronous steps`,
  method: [
    `A step of this table is ${thousands(roundImages)} images: a round of replicas, whose inner steps take ${innerBatch} images, or ${innerSteps} synchronous steps`,
    `of ${replicas * innerBatch}. Each burst is a run of its own, whose first ${warmUpRounds} rounds are not timed: the samples travel, and code`,
    'that has just begun is slow. One thread in each process. "Off by" is the distance of the change of the weights from',
    'that of the same run in one process.',
  ],
  async cases() {
    const data = await firstImages(roundImages);
    const synchronous = { options: { data, batch: replicas * innerBatch, verifyRate: 0 }, stepsOfOne: innerSteps };
    const inRounds = {
      options: { data, diloco: { replicas, innerSteps }, batch: innerBatch, verifyRate: 0 },
      stepsOfOne: 1,
    };
    const ways = [
      { name: 'synchronous, 2 workers', ...synchronous, workers: { processes: 2, each: 1 } },
      { name: 'replicas, 2 workers', ...inRounds, workers: { processes: 2, each: 1 } },
      { name: 'synchronous, 1 process', ...synchronous, workers: undefined },
      { name: 'replicas, 1 process', ...inRounds, workers: undefined },
    ];
    const [distance, inRoundsDistance] = await Promise.all(
      [synchronous, inRounds].map(async ({ options, stepsOfOne }) =>
        changeDistance(initial, await referenceOf(options, (warmUpRounds + 1) * stepsOfOne)),
      ),
    );
    const candidates = ways.map(({ name, ...way }) => ({
      name,
      distance: way.stepsOfOne === 1 ? inRoundsDistance! : distance!,
      open: () => openRun({ ...way, warmUp: warmUpRounds }),
    }));
    return [
      {
        name: `rounds of ${thousands(roundImages)} images`,
        workPerStep: { amount: roundImages, unit: 'images' },
        checkedSteps: 1,
        tolerance: 0,
        distance: distance!,
        candidates,
      },
    ];
  },
};

export default [coordinatorThroughput, diloco] satisfies readonly Benchmark[];
