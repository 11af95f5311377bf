/** The same loop on several workers: the order of additions, and the bytes that a step sends. */
import { ParameterServer, TreeSum } from '@lockstep/compute';
import { permutation } from '@lockstep/data';
import { createShardGradient, defaultOptimizer, initialize } from '@lockstep/nn';
import { planRun, type Shard, shardsOfRange } from '@lockstep/rules';
import { add, fromArray, type HostBackend, type Storage } from '@lockstep/tensor';
import { count, defineChapter, type LessonContext, seedControl } from '../chapter.ts';
import { digitModel, digitsOf, type LabeledImages, pickImages } from '../digits.ts';
import { decimal, figures, percent, table, thousands } from '../exhibit.ts';
import { valuesOf } from '../values.ts';

const [batch, microbatchSize] = [128, 16];
const microbatches = batch / microbatchSize;
const compared = [1, 2, 3, 4, 8];
/** Bandwidth of a common wired network. */
const linkBitsPerSecond = 100e6;

export const manyWorkers = defineChapter({
  id: 'many-workers',
  title: 'The same loop on several workers',
  claim: 'Added in a fixed tree, the gradients of any number of workers give the same weights, bit for bit.',
  digits: 'few',
  text: [
    'A [[batch]] can be split among workers, and their gradients added: the sum is the gradient of the whole batch. But floating-point numbers are rounded at every addition, so another order of the same numbers gives other bits. Gradients arrive in the order in which workers finish, so a sum in the order of arrival differs from run to run.',
    'A [[reduction tree]] fixes which gradients are added to which, whatever arrives first. The table trains the same network with different numbers of workers, whose results arrive in a random order.',
    'Exact does not mean faster. Each step sends every weight to every worker, and every gradient back. For a small model the network link takes longer than the arithmetic that it saves. Workers pay off with larger batches and larger models.',
  ],
  controls: {
    steps: count({ label: 'Steps', from: 1, to: 40, fallback: 10 }),
    seed: seedControl,
  },
  *run(context, { steps, seed }) {
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
    };
  },
  show: ({ parameters, runs, sums, stepMs, bytes, linkMs }) => [
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
  ],
});

interface TrainOptions {
  readonly workers: number;
  readonly steps: number;
  readonly seed: number;
}

/** Trains with the shards of each worker's share, which arrive in random order. */
function train({ backend, nowMs }: LessonContext, images: LabeledImages, { workers, steps, seed }: TrainOptions) {
  const plan = planRun({ samples: images.labels.length, batch, epochs: 1, steps, microbatchSize });
  const server = new ParameterServer({
    backend,
    plan,
    weights: initialize(digitModel, seed),
    optimizer: defaultOptimizer('sgd'),
  });
  const order = permutation(images.labels.length, seed, 0);
  const shards = sharesOf(workers).map((shard) => ({ shard, ...shardCompute(backend, server.parameters, shard) }));
  const startedAtMs = nowMs();
  for (let step = 0; step < plan.steps; step++) {
    for (const arrived of permutation(shards.length, seed, step)) {
      const { shard, compute, output } = shards[arrived]!;
      const first = step * batch + shard.lo * microbatchSize;
      compute(pickImages(images, order.subarray(first, first + shard.n * microbatchSize)));
      server.aggregator.add(shard, output);
    }
    server.step(step);
  }
  const stepMs = (nowMs() - startedAtMs) / plan.steps;
  const weights = server.weights();
  server.dispose();
  for (const { dispose } of shards) dispose();
  return { weights, stepMs };
}

/** Divides the microbatches of a step evenly among the workers, as nodes of the tree. */
function sharesOf(workers: number): Shard[] {
  const cut = (worker: number): number => Math.round((worker * microbatches) / workers);
  return Array.from({ length: workers }, (_, worker) => shardsOfRange(cut(worker), cut(worker + 1))).flat();
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
