/** jax-js on its wasm backend, with one thread: a matrix product and the training step. */
import { readFile } from 'node:fs/promises';
import type { Absent, Implementation } from '../harness.ts';
import {
  gptParts,
  gptSizes,
  joinParameters,
  type MatrixProduct,
  mnist,
  type Net,
  nextTokens,
  oneHotLabels,
  type Peer,
  scaledPixels,
  splitParameters,
  type TrainingStep,
  timeSteps,
} from '../work.ts';

type Jax = typeof import('@jax-js/jax');
type JaxArray = ReturnType<Jax['numpy']['array']>;

async function loadJax(): Promise<Absent | { readonly jax: Jax; readonly version: string }> {
  const jax = await import('@jax-js/jax');
  if (!(await jax.init('wasm')).includes('wasm')) return { absent: 'jax-js finds no WebAssembly here' };
  jax.defaultDevice('wasm');
  const manifest = new URL('../package.json', import.meta.resolve('@jax-js/jax'));
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { readonly version: string };
  return { jax, version };
}

async function openMatmul(work: MatrixProduct): Promise<Implementation | Absent> {
  const loaded = await loadJax();
  if ('absent' in loaded) return loaded;
  const { jax, version } = loaded;
  const { blockUntilReady, jit, numpy } = jax;
  const left = numpy.array(work.left.slice()).reshape([work.m, work.k]);
  const right = numpy.array(work.right.slice()).reshape([work.k, work.n]);
  const product = jit(numpy.matmul);
  let output = product(left.ref, right.ref);
  const step = (): Promise<unknown> => {
    output.dispose();
    output = product(left.ref, right.ref);
    // jax-js is lazy: an output disposed of before it is awaited is never computed.
    return blockUntilReady(output);
  };
  return {
    version,
    notes: ['wasm, 1 thread', 'numpy.matmul in a jit, of arrays that are ready'],
    run: (steps) => timeSteps(steps, step),
    result: async () => Float32Array.from(await output.ref.data()),
    async close() {
      for (const array of [left, right, output]) array.dispose();
      product.dispose();
    },
  };
}

/** Convolutions take tens of milliseconds per image: one step of a larger batch would outlast all other measurements. */
const largestCnnBatch = 64;

/** Batches are prepared as float32 arrays. */
async function openStep(work: TrainingStep): Promise<Implementation | Absent> {
  if (work.net.name === 'cnn' && work.batchSize > largestCnnBatch) {
    const elsewhere = `npm run bench -- --benchmark cnn-step measures it at ${largestCnnBatch}`;
    return { absent: `one step of this net at this batch takes seconds; ${elsewhere}` };
  }
  const loaded = await loadJax();
  if ('absent' in loaded) return loaded;
  const { jax, version } = loaded;
  const { blockUntilReady, tree } = jax;
  const { net, initial } = work;
  const batches = batchesOf(jax, work);
  const trainStep = trainStepOf(jax, work);
  let parameters = parametersToJax(jax, net, initial);
  let next = 0;
  const step = (): void => {
    const { inputs, labels } = batches[next++ % batches.length]!;
    const [updated, loss] = trainStep(parameters, inputs.ref, labels.ref);
    parameters = updated;
    loss.dispose();
  };
  return {
    version,
    notes: ['wasm, 1 thread', 'gradient and SGD in one jit, from float32'],
    async reset() {
      next = 0;
      tree.dispose(parameters);
      parameters = parametersToJax(jax, net, initial);
      await blockUntilReady(parameters);
    },
    run: (steps) => timeSteps(steps, step, () => blockUntilReady(parameters)),
    result: async () => joinParameters(await parametersFromJax(jax, net, tree.ref(parameters))),
    async close() {
      tree.dispose(parameters);
      tree.dispose(batches);
      trainStep.dispose();
    },
  };
}

function batchesOf({ numpy }: Jax, { net, batchSize, batches }: TrainingStep) {
  if (net.name === 'gpt') {
    const sizes = gptSizes(net);
    return batches.map((batch) => {
      const { inputs, targets } = nextTokens(sizes, batch);
      return {
        inputs: numpy.array(inputs).reshape([batchSize, sizes.positions]),
        labels: numpy.array(oneHotLabels(targets, sizes.tokens)).reshape([batchSize, sizes.positions, sizes.tokens]),
      };
    });
  }
  const imageShape = net.name === 'cnn' ? [batchSize, 1, 28, 28] : [batchSize, mnist.pixels];
  return batches.map((batch) => ({
    inputs: numpy.array(scaledPixels(batch)).reshape(imageShape),
    labels: numpy.array(oneHotLabels(batch.labels, mnist.classes)).reshape([batchSize, mnist.classes]),
  }));
}

/** (parameters, inputs, labels) -> [updated parameters, mean cross-entropy], compiled. */
function trainStepOf(jax: Jax, { net, batchSize, learningRate }: TrainingStep) {
  const { jit, nn, tree, valueAndGrad } = jax;
  const predictions = batchSize * (net.name === 'gpt' ? gptSizes(net).positions : 1);
  const meanLoss = (parameters: JaxArray[], inputs: JaxArray, labels: JaxArray): JaxArray => {
    const logProbabilities = nn.logSoftmax(logitsOf(jax, net, parameters, inputs));
    return logProbabilities
      .mul(labels)
      .sum()
      .mul(-1 / predictions);
  };
  const lossAndGradient = valueAndGrad(meanLoss);
  return jit((parameters: JaxArray[], inputs: JaxArray, labels: JaxArray): [JaxArray[], JaxArray] => {
    const [loss, gradients] = lossAndGradient(tree.ref(parameters), inputs, labels);
    return [parameters.map((parameter, index) => parameter.sub(gradients[index]!.mul(learningRate))), loss];
  });
}

/** jax-js's layout of one parameter: ours viewed as `view`, its axes permuted by `order`, reshaped to `shape`. */
function layoutOf(net: Net, shape: readonly number[]) {
  if (shape.length === 4) {
    const [height, width, inputs, outputs] = shape as readonly [number, number, number, number];
    return { view: shape, order: [3, 2, 0, 1], shape: [outputs, inputs, height, width] };
  }
  // Our flattened image is [7, 7, 16], that of jax-js is [16, 7, 7].
  if (net.name === 'cnn' && shape.length === 2) return { view: [7, 7, 16, shape[1]!], order: [2, 0, 1, 3], shape };
  return { view: shape, order: shape.map((_, axis) => axis), shape };
}

function parametersToJax({ numpy }: Jax, net: Net, parameters: Float32Array): JaxArray[] {
  return splitParameters(net, parameters).map((values, index) => {
    const { view, order, shape } = layoutOf(net, net.shapes[index]!);
    return numpy.transpose(numpy.array(values.slice()).reshape([...view]), [...order]).reshape([...shape]);
  });
}

/** Converts arrays of jax-js to our parameters and consumes them. */
function parametersFromJax({ numpy }: Jax, net: Net, arrays: readonly JaxArray[]): Promise<Float32Array[]> {
  const values = arrays.map(async (array, index) => {
    const { view, order } = layoutOf(net, net.shapes[index]!);
    const inverse = order.map((_, axis) => order.indexOf(axis));
    const ordered = numpy.transpose(array.reshape(order.map((axis) => view[axis]!)), inverse);
    return Float32Array.from(await ordered.data());
  });
  return Promise.all(values);
}

/** Class scores of a batch. Every use but the last of an array is a `.ref`: jax-js functions consume their arguments. */
function logitsOf(jax: Jax, net: Net, parameters: readonly JaxArray[], images: JaxArray): JaxArray {
  const { nn, numpy } = jax;
  if (net.name === 'gpt') return gpt(jax, net, parameters, images);
  if (net.name === 'mlp') {
    const [weight1, bias1, weight2, bias2] = parameters;
    return numpy.matmul(nn.relu(numpy.matmul(images, weight1!).add(bias1!)), weight2!).add(bias2!);
  }
  const [kernel1, bias1, kernel2, bias2, weight, bias] = parameters;
  const stage = (input: JaxArray, kernel: JaxArray, offset: JaxArray): JaxArray => {
    const sums = jax.lax.conv(input, kernel, [1, 1], 'SAME').add(offset.reshape([-1, 1, 1]));
    return jax.lax.reduceWindow(nn.relu(sums), (window) => numpy.max(window), [2, 2], [2, 2]);
  };
  const features = stage(stage(images, kernel1!, bias1!), kernel2!, bias2!);
  return numpy.matmul(features.reshape([features.shape[0]!, -1]), weight!).add(bias!);
}

/** nanoGPT: tokens [samples, positions] to logits [samples, positions, tokens]. */
function gpt({ nn, numpy }: Jax, net: Net, parameters: readonly JaxArray[], tokens: JaxArray): JaxArray {
  const { width, heads, tokens: vocabulary } = gptSizes(net);
  const { wte, wpe, blocks, normalization } = gptParts(parameters);
  const [samples = 0, positions = 0] = tokens.shape;
  const dense = (x: JaxArray, weight: JaxArray, bias: JaxArray) => numpy.matmul(x, weight).add(bias);
  const layerNorm = (x: JaxArray, weight: JaxArray, bias: JaxArray) => nn.standardize(x).mul(weight).add(bias);
  // `nn.dotProductAttention` needs Node 22.
  const attention = (x: JaxArray): JaxArray => {
    const heads4 = (part: JaxArray) => part.reshape([samples, positions, heads, -1]).transpose([0, 2, 1, 3]);
    const [query, key, value] = numpy.split(x, 3, 2).map(heads4);
    const scores = numpy.matmul(query!, numpy.matrixTranspose(key!)).mul(1 / Math.sqrt(width / heads));
    const seen = numpy.tril(numpy.ones([positions, positions])).greater(0);
    const mixed = numpy.matmul(nn.softmax(numpy.where(seen, scores, -1e9)), value!);
    return mixed.transpose([0, 2, 1, 3]).reshape([samples, positions, width]);
  };
  let x = numpy.matmul(nn.oneHot(tokens, vocabulary), wte.ref).add(wpe);
  for (const [w1, b1, wQkv, bQkv, wMix, bMix, w2, b2, wIn, bIn, wOut, bOut] of blocks) {
    x = x.ref.add(dense(attention(dense(layerNorm(x, w1!, b1!), wQkv!, bQkv!)), wMix!, bMix!));
    const inner = nn.gelu(dense(layerNorm(x.ref, w2!, b2!), wIn!, bIn!), { approximate: false });
    x = x.add(dense(inner, wOut!, bOut!));
  }
  const [weight, bias] = normalization;
  return numpy.matmul(layerNorm(x, weight!, bias!), numpy.transpose(wte));
}

export default [{ name: 'jax-js wasm', openStep, openMatmul }] satisfies readonly Peer[];
