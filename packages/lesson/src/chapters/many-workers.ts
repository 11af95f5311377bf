/** The same loop on several workers: the order of additions, the bytes that a step sends, and a worker that lies. */
import { ParameterServer, TreeSum } from '@lockstep/compute';
import { permutation } from '@lockstep/data';
import { createShardGradient, defaultOptimizer, initialize } from '@lockstep/nn';
import { planRun, type Shard, shardKey, shardsOfRange } from '@lockstep/rules';
import { add, fromArray, type HostBackend, randomStream, type Storage } from '@lockstep/tensor';
import { choice, count, defineChapter, type LessonContext, range, type SettingsOf, seedControl } from '../chapter.ts';
import { digitModel, digitsOf, type LabeledImages, pickImages } from '../digits.ts';
import { decimal, figures, percent, table, thousands } from '../exhibit.ts';
import { valuesOf } from '../values.ts';

const [batch, microbatchSize] = [128, 16];
const microbatches = batch / microbatchSize;
const compared = [1, 2, 3, 4, 8];
const named = ['worker 1', 'worker 2', 'worker 3'] as const;
/** Bandwidth of a common wired network. */
const linkBitsPerSecond = 100e6;

const controls = {
  steps: count({ label: 'Steps', from: 1, to: 40, fallback: 10 }),
  liar: choice('Who lies in the second half', ['nobody', ...named], 'worker 2'),
  rate: range({ label: 'Lowest rate of checks', from: 0.05, to: 1, step: 0.05, fallback: 0.15 }),
  seed: seedControl,
};

type Settings = SettingsOf<typeof controls>;

export const manyWorkers = defineChapter({
  id: 'many-workers',
  title: 'The same loop on several workers',
  claim: 'Added in a fixed tree, the gradients of any number of workers give the same weights, bit for bit.',
  digits: 'few',
  text: [
    'A [[batch]] can be split among workers, and their gradients added: the sum is the gradient of the whole batch. But floating-point numbers are rounded at every addition, so another order of the same numbers gives other bits. Gradients arrive in the order in which workers finish, so a sum in the order of arrival differs from run to run.',
    'A [[reduction tree]] fixes which gradients are added to which, whatever arrives first. The table trains the same network with different numbers of workers, whose results arrive in a random order.',
    'Exact does not mean faster. Each step sends every weight to every worker, and every gradient back. For a small model the network link takes longer than the arithmetic that it saves. Workers pay off with larger batches and larger models.',
    "A worker may also send wrong sums, and a wrong sum looks like any other. But the coordinator can recompute it. It checks every result of a new worker, and each confirmed result halves the rate of checks, down to a lowest rate. Once a check finds a wrong result, the run goes back to the weights from before this worker's first unchecked result, and repeats the steps without the worker. The lie has cost time, but no bit of the weights.",
  ],
  controls,
  *run(context, { steps, liar, rate, seed }) {
    const { backend } = context;
    const images = digitsOf(context, 'few').train;
    const alone = train(context, images, { workers: 1, steps, seed });
    const runs = compared.map((workers) => {
      const { weights, stepMs } = train(context, images, { workers, steps, seed });
      return { workers, stepMs, differing: differences(weights, alone.weights) };
    });
    const parameters = alone.weights.length;
    yield {
      parameters,
      runs,
      sums: orderMatters(backend, images, seed),
      // Excludes the first training, during which the engine still compiles.
      stepMs: runs[0]!.stepMs,
      bytes: 2 * 4 * parameters,
      linkMs: (2 * 4 * parameters * 8 * 1000) / linkBitsPerSecond,
      lying: { liar, steps, ...trainWithLiar(context, images, { liar, rate, steps, seed }, alone.weights) },
    };
  },
  show: ({ parameters, runs, sums, stepMs, bytes, linkMs, lying }) => [
    table(
      'Weights after training, compared with those of one worker',
      ['workers', 'weights that differ'],
      runs.map(({ workers, differing }) => [workers, `${thousands(differing)} of ${thousands(parameters)}`]),
    ),
    figures({
      'sums that differ, added as gradients arrive': `${thousands(sums.asTheyCome)} of ${thousands(parameters)} (${percent(sums.asTheyCome / parameters)})`,
      'sums that differ, added in the tree': `${thousands(sums.inTheTree)} of ${thousands(parameters)}`,
      'time per step here, one worker': `${decimal(stepMs, 2)} ms`,
      'bytes per step, to and from each worker': `${thousands(bytes / 1000)} KB`,
      'time for these bytes at 100 Mbit/s': `${decimal(linkMs, 1)} ms`,
    }),
    table('Three workers, one of which lies', ['step', 'what happens'], storyOf(lying)),
    figures({
      'results that were checked': `${thousands(lying.checks)} of ${thousands(lying.results)}`,
      'weights that differ from those of one worker, when the lie was found': lying.caught
        ? `${thousands(lying.caught.differing)} of ${thousands(parameters)}`
        : 'no lie was found',
      'weights that differ at the end': `${thousands(lying.differing)} of ${thousands(parameters)}`,
    }),
  ],
});

type TrainOptions = Pick<Settings, 'steps' | 'seed'> & { readonly workers: number };

/** Trains with the shards of each worker's share, which arrive in random order. */
function train(context: LessonContext, images: LabeledImages, { workers, steps, seed }: TrainOptions) {
  const { server, samplesOf } = openRun(context, images, { steps, seed });
  const shards = sharesOf(workers)
    .flat()
    .map((shard) => ({ shard, ...shardCompute(context.backend, server.parameters, shard) }));
  const startedAtMs = context.nowMs();
  for (let step = 0; step < steps; step++) {
    for (const arrived of permutation(shards.length, seed, step)) {
      const { shard, compute, output } = shards[arrived]!;
      compute(samplesOf(step, shard));
      server.aggregator.add(shard, output);
    }
    server.step(step);
  }
  const stepMs = (context.nowMs() - startedAtMs) / steps;
  const weights = server.weights();
  server.dispose();
  for (const { dispose } of shards) dispose();
  return { weights, stepMs };
}

function openRun({ backend }: LessonContext, images: LabeledImages, { steps, seed }: Pick<Settings, 'steps' | 'seed'>) {
  const plan = planRun({ samples: images.labels.length, batch, epochs: 1, steps, microbatchSize });
  const server = new ParameterServer({
    backend,
    plan,
    weights: initialize(digitModel, seed),
    optimizer: defaultOptimizer('sgd'),
  });
  const order = permutation(images.labels.length, seed, 0);
  const samplesOf = (step: number, { lo, n }: Shard): LabeledImages => {
    const first = step * batch + lo * microbatchSize;
    return pickImages(images, order.subarray(first, first + n * microbatchSize));
  };
  return { server, samplesOf };
}

/**
 * Trains with three workers, whose results the coordinator checks as in any run. The liar changes a bit of each of its
 * sums in the second half of the run.
 * @param honest weights of the run without a liar
 */
function trainWithLiar(context: LessonContext, images: LabeledImages, options: Settings, honest: Float32Array) {
  const { liar, rate, steps, seed } = options;
  const { backend } = context;
  const { server, samplesOf } = openRun(context, images, { steps, seed });
  const random = randomStream(seed);
  const team: Member[] = named.map((name) => ({ name, confirmed: 0, uncheckedFrom: undefined }));
  const opened = new Map<string, ReturnType<typeof shardCompute>>();
  const computeOf = (shard: Shard) => {
    const key = shardKey(shard);
    const compute = opened.get(key) ?? shardCompute(backend, server.parameters, shard);
    opened.set(key, compute);
    return compute;
  };
  let [results, checks, lies] = [0, 0, 0];
  let caught: Caught | undefined;

  /** Adds the results of a step. @returns the worker whose result was found to be wrong */
  function addResults(step: number): Member | undefined {
    for (const [index, shards] of sharesOf(team.length).entries()) {
      const worker = team[index]!;
      for (const shard of shards) {
        const { compute, output } = computeOf(shard);
        const samples = samplesOf(step, shard);
        compute(samples);
        const isLie = worker.name === liar && step >= liesFrom(steps);
        if (isLie) changeBit(backend.view(output));
        results += 1;
        if (random() < Math.max(rate, 2 ** -worker.confirmed)) {
          checks += 1;
          const sent = backend.view(output).slice();
          compute(samples);
          if (differences(sent, backend.view(output)) > 0) return worker;
          worker.confirmed += 1;
        } else {
          lies += isLie ? 1 : 0;
          if (worker.uncheckedFrom === undefined) server.keepState(step);
          worker.uncheckedFrom ??= step;
        }
        server.aggregator.add(shard, output);
      }
    }
    return undefined;
  }

  for (let step = 0; step < steps; ) {
    const found = addResults(step);
    if (!found) {
      server.step(step);
      step += 1;
      continue;
    }
    const weights = step > 0 ? train(context, images, { workers: 1, steps: step, seed }).weights : server.weights();
    const to = found.uncheckedFrom ?? step;
    caught = { step, to, lies, differing: differences(server.weights(), weights) };
    if (to === step) server.keepState(step);
    server.goBack(to);
    team.splice(team.indexOf(found), 1);
    step = to;
  }
  const differing = differences(server.weights(), honest);
  server.dispose();
  for (const { dispose } of opened.values()) dispose();
  return { results, checks, lies, caught, differing };
}

interface Member {
  readonly name: string;
  confirmed: number;
  /** First step with a result of the worker that was added unchecked. */
  uncheckedFrom: number | undefined;
}

interface Caught {
  /** Step whose check found the lie, and step to which the run went back. */
  readonly step: number;
  readonly to: number;
  /** Wrong results that had been added. */
  readonly lies: number;
  /** Weights that differed from those of one worker. */
  readonly differing: number;
}

const liesFrom = (steps: number): number => Math.floor(steps / 2);

function changeBit(sum: Float32Array): void {
  // Behind the gradient are the sum of the losses and the number of correct predictions.
  new Uint32Array(sum.buffer, sum.byteOffset, sum.length)[sum.length - 3]! ^= 1 << 20;
}

interface Story extends ReturnType<typeof trainWithLiar>, Pick<Settings, 'liar' | 'steps'> {}

function storyOf({ liar, steps, caught, lies, differing }: Story): [step: number, event: string][] {
  const rows: [number, string][] = [];
  if (liar !== 'nobody') rows.push([liesFrom(steps) + 1, `${liar} begins to lie: it changes one bit of each sum`]);
  if (caught) {
    const added = caught.lies === 1 ? '1 wrong result was' : `${caught.lies} wrong results were`;
    const again = caught.step - caught.to;
    const back = `the run goes back to before step ${caught.to + 1}, and takes ${again === 1 ? '1 step' : `${again} steps`} again`;
    rows.push([caught.step + 1, `a check finds a wrong result of ${liar}; ${added} added before`]);
    rows.push([caught.to + 1, `${again > 0 ? back : 'the run goes on'} without ${liar}`]);
  } else if (lies > 0) rows.push([steps, `no check has found one of the ${lies} wrong results of ${liar}`]);
  rows.push([
    steps,
    differing === 0 ? 'the run ends with the weights of one worker' : 'the run ends with other weights',
  ]);
  return rows;
}

/** Divides the microbatches of a step evenly among the workers, as nodes of the tree. */
function sharesOf(workers: number): Shard[][] {
  const cut = (worker: number): number => Math.round((worker * microbatches) / workers);
  return Array.from({ length: workers }, (_, worker) => shardsOfRange(cut(worker), cut(worker + 1)));
}

function shardCompute(backend: HostBackend, parameters: Storage, { n }: Shard) {
  const gradient = createShardGradient(backend, digitModel, { microbatches: n, microbatchSize }, parameters);
  return {
    output: gradient.output,
    compute: ({ pixels, labels }: LabeledImages): void => gradient.run(pixels, labels),
    dispose: (): void => gradient.dispose(),
  };
}

/** Counts the elements of a sum that change if gradients arrive in reverse: added on arrival, and in the tree. */
function orderMatters(backend: HostBackend, images: LabeledImages, seed: number) {
  const weights = initialize(digitModel, seed);
  const parameters = backend.allocate(weights.length);
  backend.upload(parameters, weights);
  const { compute, output, dispose } = shardCompute(backend, parameters, { lo: 0, n: 1 });
  const order = permutation(images.labels.length, seed, 0);
  const gradients = Array.from({ length: microbatches }, (_, index) => {
    compute(pickImages(images, order.subarray(index * microbatchSize, (index + 1) * microbatchSize)));
    return backend.view(output).slice(0, weights.length);
  });
  dispose();
  backend.free(parameters);
  const forward = gradients.map((_, index) => index);
  const changedBy = (sumOf: (arrivals: readonly number[]) => Float32Array): number =>
    differences(sumOf(forward), sumOf(forward.toReversed()));
  return {
    asTheyCome: changedBy((arrivals) => plainSum(backend, gradients, arrivals)),
    inTheTree: changedBy((arrivals) => treeSum(backend, gradients, arrivals)),
  };
}

/** Adds gradients one after another, as they arrive. */
function plainSum(backend: HostBackend, gradients: readonly Float32Array[], arrivals: readonly number[]): Float32Array {
  return valuesOf(backend, () =>
    arrivals.map((index) => fromArray(backend, gradients[index]!)).reduce((sum, next) => add(sum, next)),
  );
}

function treeSum(backend: HostBackend, gradients: readonly Float32Array[], arrivals: readonly number[]): Float32Array {
  const tree = new TreeSum(backend, gradients[0]!.length);
  tree.begin({ lo: 0, n: microbatches }, microbatches);
  const vectors = gradients.map((gradient) => {
    const vector = backend.allocate(gradient.length);
    backend.upload(vector, gradient);
    return vector;
  });
  for (const index of arrivals) tree.add({ lo: index, n: 1 }, vectors[index]!);
  const sum = backend.view(tree.vector()).slice();
  tree.dispose();
  for (const vector of vectors) backend.free(vector);
  return sum;
}

function differences(left: Float32Array, right: Float32Array): number {
  return left.filter((value, index) => value !== right[index]).length;
}
