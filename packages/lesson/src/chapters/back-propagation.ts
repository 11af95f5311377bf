/** Back-propagation on a small graph: every node's value, and the gradient of the loss by every node. */
import { add, fromArray, type HostBackend, mul, sub, type Tensor, tanh } from '@lockstep/tensor';
import { defineChapter } from '../chapter.ts';
import { range } from '../controls.ts';
import { decimal } from '../number-text.ts';
import { gradientsOf, valuesOf } from '../values.ts';

const knob = { from: -3, to: 3, step: 0.1 };
/** Of the difference quotient that checks the gradients. */
const nudge = 1 / 256;

interface Node {
  readonly id: string;
  readonly formula: string;
  readonly from: readonly string[];
  readonly compute: (...operands: Tensor[]) => Tensor;
}

const inputIds = ['x1', 'w1', 'x2', 'w2', 'b', 'target'] as const;
type Inputs = Readonly<Record<(typeof inputIds)[number], number>>;

/** In an order in which each node stands behind those that it reads. */
const nodes: readonly Node[] = [
  { id: 'p1', formula: 'w1 x1', from: ['w1', 'x1'], compute: (w, x) => mul(w!, x!) },
  { id: 'p2', formula: 'w2 x2', from: ['w2', 'x2'], compute: (w, x) => mul(w!, x!) },
  { id: 's', formula: 'p1 + p2', from: ['p1', 'p2'], compute: (left, right) => add(left!, right!) },
  { id: 'z', formula: 's + b', from: ['s', 'b'], compute: (sum, bias) => add(sum!, bias!) },
  { id: 'a', formula: 'tanh z', from: ['z'], compute: (z) => tanh(z!) },
  { id: 'e', formula: 'a - target', from: ['a', 'target'], compute: (a, target) => sub(a!, target!) },
  { id: 'loss', formula: 'e²', from: ['e'], compute: (error) => mul(error!, error!) },
];

export const backPropagation = defineChapter({
  id: 'back-propagation',
  title: 'Back-propagation',
  claim: 'One pass back through the graph gives the gradient of the loss by every value in it.',
  text: [
    'A network is a chain of small computations. The [[chain rule]] says how the loss changes with the input of one of them: the gradient at its output times its own derivative. [[Back-propagation]] begins at the loss with 1 and walks the graph from right to left, multiplying; where a value is used twice, its gradients add up.',
    'Each node shows its value, computed from left to right, and its gradient, computed from right to left. A difference quotient, which changes one input a little and looks at the loss, needs a whole computation for each input; it is there as a check.',
  ],
  controls: {
    w1: range({ label: 'w1', fallback: 0.5, ...knob }),
    w2: range({ label: 'w2', fallback: -1, ...knob }),
    b: range({ label: 'b', fallback: 0.3, ...knob }),
    x1: range({ label: 'x1', fallback: 1, ...knob }),
    x2: range({ label: 'x2', fallback: 0.5, ...knob }),
    target: range({ label: 'target', from: -1, to: 1, fallback: 1, step: 0.1 }),
  },
  *run({ backend }, settings) {
    const values = valuesAt(backend, settings);
    const gradients = gradientsAt(backend, settings);
    const all = [...inputIds.map((id) => ({ id, formula: id, from: [] as readonly string[] })), ...nodes];
    yield {
      nodes: all.map(({ id, formula, from }) => ({ id, formula, from, value: values[id]!, gradient: gradients[id]! })),
      quotients: inputIds.map((id) => ({ id, quotient: quotientAt(backend, settings, id), gradient: gradients[id]! })),
    };
  },
  show: ({ nodes: shown, quotients }) => [
    { kind: 'graph', caption: 'Values from left to right, gradients back', nodes: shown },
    {
      kind: 'table',
      caption: `Checked by moving one input by 1/${1 / nudge} either way`,
      header: ['input', 'gradient', 'difference quotient'],
      rows: quotients.map(({ id, gradient, quotient }) => [id, decimal(gradient, 4), decimal(quotient, 4)]),
    },
  ],
});

/** Every node's tensor, by id. `pass` sees each as it is computed. */
function compute(
  backend: HostBackend,
  inputs: Inputs,
  pass: (id: string, tensor: Tensor) => Tensor,
): Readonly<Record<string, Tensor>> {
  const computed: Record<string, Tensor> = {};
  for (const id of inputIds) computed[id] = pass(id, fromArray(backend, [inputs[id]]));
  for (const { id, from, compute: formula } of nodes) {
    computed[id] = pass(id, formula(...from.map((operand) => computed[operand]!)));
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

/** Something that is 0 is added to every node, so that one pass back gives the gradient by each of them. */
function gradientsAt(backend: HostBackend, inputs: Inputs): Readonly<Record<string, number>> {
  const { gradients } = gradientsOf(
    backend,
    () => ids.map(() => fromArray(backend, [0])),
    (...added) => compute(backend, inputs, (id, tensor) => add(tensor, added[ids.indexOf(id)]!))['loss']!,
  );
  return Object.fromEntries(ids.map((id, index) => [id, gradients[index]![0]!]));
}

function quotientAt(backend: HostBackend, inputs: Inputs, id: keyof Inputs): number {
  const lossAt = (value: number): number => valuesAt(backend, { ...inputs, [id]: value })['loss']!;
  return (lossAt(inputs[id] + nudge) - lossAt(inputs[id] - nudge)) / (2 * nudge);
}
