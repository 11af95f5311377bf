/** Back-propagation: the gradients of a small graph, and the cost of all gradients of a network. */
import { parameterLayout } from '@lockstep/nn';
import { add, fromArray, type HostBackend, mul, sigmoid, sub, type Tensor } from '@lockstep/tensor';
import { defineChapter, type LessonContext, range } from '../chapter.ts';
import { Classifier, digitModel, digitsOf, firstOf, plainSgd } from '../digits.ts';
import { decimal, inWords, shapeText, table, thousands } from '../exhibit.ts';
import { gradientsOf, valuesOf } from '../values.ts';

const knob = { from: -3, to: 3, step: 0.1 };
/** Step size of a difference quotient. */
const nudge = 1 / 256;
/** Number of images in a batch, and of passes whose time is measured. */
const [batch, measuredPasses] = [64, 20];

interface Node {
  readonly id: string;
  readonly formula: string;
  readonly from: readonly string[];
  readonly compute: (...operands: Tensor[]) => Tensor;
}

const inputIds = ['x1', 'w1', 'x2', 'w2', 'b', 'target'] as const;
type Inputs = Readonly<Record<(typeof inputIds)[number], number>>;

/** Nodes in topological order: each comes after the nodes that it reads. `z` is read twice. */
const nodes: readonly Node[] = [
  { id: 'p1', formula: 'w1 x1', from: ['w1', 'x1'], compute: (w, x) => mul(w!, x!) },
  { id: 'p2', formula: 'w2 x2', from: ['w2', 'x2'], compute: (w, x) => mul(w!, x!) },
  { id: 's', formula: 'p1 + p2', from: ['p1', 'p2'], compute: (left, right) => add(left!, right!) },
  { id: 'z', formula: 's + b', from: ['s', 'b'], compute: (sum, bias) => add(sum!, bias!) },
  { id: 'g', formula: 'sigmoid z', from: ['z'], compute: (z) => sigmoid(z!) },
  { id: 'a', formula: 'z g', from: ['z', 'g'], compute: (z, g) => mul(z!, g!) },
  { id: 'e', formula: 'a - target', from: ['a', 'target'], compute: (a, target) => sub(a!, target!) },
  { id: 'loss', formula: 'e²', from: ['e'], compute: (error) => mul(error!, error!) },
];
/** Names of the uses of `z`, one for each node that reads it. */
const usesOfZ = nodes.filter(({ from }) => from.includes('z')).map(({ id }) => useOf('z', id));

export const backPropagation = defineChapter({
  id: 'back-propagation',
  title: 'Back-propagation',
  claim:
    'One pass back through a network gives the gradient for all of its 101,770 parameters. Computed one at a time, they would take 101,770 forward passes.',
  digits: 'few',
  text: [
    'A network is a chain of small computations. The [[chain rule]] gives the gradient at the input of each computation: the gradient at its output times its own derivative. [[Back-propagation]] begins at the loss with 1 and walks the graph from right to left, multiplying. Each node shows its value, computed from left to right, and its gradient, marked ∂ and computed from right to left.',
    'If a value is used twice, its gradients add up. Here z is used twice: the sigmoid reads it, and the product reads it again. The table shows the gradient that comes back along each path, and their sum, which is the gradient of z.',
    'A difference quotient changes one value a little and computes the loss again. It needs two forward passes for each value, so it serves only as a check. The last tables compare both on 784-128-10, with a batch of 64 digits.',
  ],
  controls: {
    w1: range({ label: 'w1', fallback: 0.5, ...knob }),
    w2: range({ label: 'w2', fallback: -1, ...knob }),
    b: range({ label: 'b', fallback: 0.3, ...knob }),
    x1: range({ label: 'x1', fallback: 1, ...knob }),
    x2: range({ label: 'x2', fallback: 0.5, ...knob }),
    target: range({ label: 'target', from: -1, to: 1, fallback: 1, step: 0.1 }),
  },
  *run(context, settings) {
    const { backend } = context;
    const values = valuesAt(backend, settings);
    const gradients = gradientsAt(backend, settings);
    const all = [...inputIds.map((id) => ({ id, formula: id, from: [] as readonly string[] })), ...nodes];
    yield {
      nodes: all.map(({ id, formula, from }) => ({ id, formula, from, value: values[id]!, gradient: gradients[id]! })),
      uses: usesOfZ.map((use) => ({ use, gradient: gradients[use]! })),
      ofZ: gradients['z']!,
      quotients: inputIds.map((id) => ({ id, quotient: quotientAt(backend, settings, id), gradient: gradients[id]! })),
      network: wholeNetwork(context),
    };
  },
  show: ({ nodes: shown, uses, ofZ, quotients, network }) => [
    { kind: 'graph', caption: 'Values from left to right, gradients back', nodes: shown },
    table(
      'z is used twice: its gradients add up',
      ['path', 'gradient'],
      [...uses.map(({ use, gradient }) => [use, decimal(gradient, 4)]), ['sum, the gradient of z', decimal(ofZ, 4)]],
    ),
    table(
      `Checked by changing one input by ±1/${1 / nudge}`,
      ['input', 'gradient', 'difference quotient'],
      quotients.map(({ id, gradient, quotient }) => [id, decimal(gradient, 4), decimal(quotient, 4)]),
    ),
    table(
      `The gradient of all ${thousands(network.parameters)} parameters`,
      ['passes', 'multiplications', 'time here'],
      [
        [
          `forward ${thousands(network.parameters)} times`,
          network.forwardMultiplications * network.parameters,
          network.forwardMs * network.parameters,
        ] as const,
        ['forward and back once', network.stepMultiplications, network.stepMs] as const,
      ].map(([passes, multiplications, ms]) => [passes, inWords(multiplications), durationText(ms)]),
    ),
    table(
      'The parameter with the largest gradient in each tensor, checked in the same way',
      ['tensor', 'gradient', 'difference quotient'],
      network.checks.map(({ shape, gradient, quotient }) => [
        shapeText(shape),
        decimal(gradient, 5),
        decimal(quotient, 5),
      ]),
    ),
  ],
});

function useOf(operand: string, reader: string): string {
  return `${operand} → ${reader}`;
}

/** Returns the tensor of every node, by id. `pass` may replace each tensor as it is computed, and each use of `z`. */
function compute(
  backend: HostBackend,
  inputs: Inputs,
  pass: (id: string, tensor: Tensor) => Tensor,
): Readonly<Record<string, Tensor>> {
  const computed: Record<string, Tensor> = {};
  for (const id of inputIds) computed[id] = pass(id, fromArray(backend, [inputs[id]]));
  for (const { id, from, compute: formula } of nodes) {
    const operands = from.map((operand) => {
      const use = useOf(operand, id);
      return usesOfZ.includes(use) ? pass(use, computed[operand]!) : computed[operand]!;
    });
    computed[id] = pass(id, formula(...operands));
  }
  return computed;
}

const ids = [...inputIds, ...nodes.map(({ id }) => id)];

function valuesAt(backend: HostBackend, inputs: Inputs): Readonly<Record<string, number>> {
  const values: Record<string, number> = {};
  for (const id of ids) {
    values[id] = valuesOf(backend, () => compute(backend, inputs, (_, tensor) => tensor)[id]!)[0]!;
  }
  return values;
}

/** Adds 0 to every node and to every use of `z`, so that one backward pass gives the gradient with respect to each. */
function gradientsAt(backend: HostBackend, inputs: Inputs): Readonly<Record<string, number>> {
  const places = [...ids, ...usesOfZ];
  const { gradients } = gradientsOf(
    backend,
    () => places.map(() => fromArray(backend, [0])),
    (...added) => compute(backend, inputs, (place, tensor) => add(tensor, added[places.indexOf(place)]!))['loss']!,
  );
  return Object.fromEntries(places.map((place, index) => [place, gradients[index]![0]!]));
}

function quotientAt(backend: HostBackend, inputs: Inputs, id: keyof Inputs): number {
  const lossAt = (value: number): number => valuesAt(backend, { ...inputs, [id]: value })['loss']!;
  return (lossAt(inputs[id] + nudge) - lossAt(inputs[id] - nudge)) / (2 * nudge);
}

/**
 * Measures forward passes, and forward and backward passes, of 784-128-10. Checks gradients by difference quotients.
 */
function wholeNetwork(context: LessonContext) {
  const { backend, nowMs } = context;
  const images = firstOf(digitsOf(context, 'few').train, batch);
  const classifier = new Classifier(backend, plainSgd, 1);
  const layout = parameterLayout(digitModel);
  try {
    const gradient = classifier.gradient(images);
    const lossWith = (parameter: number, change: number): number => {
      const place = backend.slice(classifier.parameters, parameter, 1);
      const [value] = backend.view(place).slice();
      backend.upload(place, Float32Array.of(value! + change));
      const { loss } = classifier.evaluate(images);
      backend.upload(place, Float32Array.of(value!));
      return loss;
    };
    const checks = layout.map(({ offset, size, shape }) => {
      const steepest = steepestOf(gradient, offset, size);
      const quotient = (lossWith(steepest, nudge) - lossWith(steepest, -nudge)) / (2 * nudge);
      return { shape, gradient: gradient[steepest]!, quotient };
    });
    const timeOf = (pass: () => unknown): number => {
      const startedAtMs = nowMs();
      for (let taken = 0; taken < measuredPasses; taken++) pass();
      return (nowMs() - startedAtMs) / measuredPasses;
    };
    // One multiplication for each weight and image. In the backward pass, each product needs two more, one for its
    // weights and one for its input. The first layer needs no gradient of its input, the image.
    const weights = layout.filter(({ shape }) => shape.length === 2).map(({ size }) => size);
    const forwardMultiplications = batch * weights.reduce((sum, size) => sum + size, 0);
    return {
      parameters: gradient.length,
      checks,
      forwardMs: timeOf(() => classifier.evaluate(images)),
      stepMs: timeOf(() => classifier.gradient(images)),
      forwardMultiplications,
      stepMultiplications: 3 * forwardMultiplications - batch * weights[0]!,
    };
  } finally {
    classifier.dispose();
  }
}

/** Returns the index of the parameter with the largest gradient among `size` parameters from `offset` on. */
function steepestOf(gradient: Float32Array, offset: number, size: number): number {
  let steepest = offset;
  for (let index = offset; index < offset + size; index++) {
    if (Math.abs(gradient[index]!) > Math.abs(gradient[steepest]!)) steepest = index;
  }
  return steepest;
}

function durationText(ms: number): string {
  return ms < 1000 ? `${decimal(ms, 2)} ms` : `${decimal(ms / 1000, 1)} s`;
}
