/** The stages of one step, from the sample to the new weights, each with the numbers of one sample. */
import { restoreValues, type Standardization } from '@lockstep/nn';
import type { Exhibit } from '../exhibit.ts';
import { decimal, percent, shapeText, significant, thousands } from '../number-text.ts';
import { normOf, type SampleTrace } from './sample-trace.ts';
import type { SingleStep } from './single-step.ts';

/** Facts about the run that the stages mention. */
export interface RunFacts {
  /** Samples per step. */
  readonly batch: number;
  readonly microbatches: number;
  /** Number of replicas, if the run trains in rounds. */
  readonly replicas?: number | undefined;
  /** Label of the sample; `names` are the names of all classes or values. */
  readonly label: string;
  readonly names: readonly string[];
  /** Present if targets are values that the model learns standardized. */
  readonly standardization?: Standardization | undefined;
}

export interface Stage {
  readonly id: 'forward' | 'loss' | 'backward' | 'send' | 'add' | 'step';
  readonly title: string;
  /** Marks terms as chapters do. */
  readonly text: string;
  readonly exhibits: readonly Exhibit[];
}

export function stagesOf(trace: SampleTrace, single: SingleStep, run: RunFacts): readonly Stage[] {
  return [
    forwardStage(trace),
    trace.probabilities ? classLossStage(trace, trace.probabilities, run) : valueLossStage(trace, run),
    backwardStage(trace),
    sendStage(trace),
    addStage(single, run),
    stepStage(single),
  ];
}

/** Shows the norm of the gradient for each parameter tensor, and how many of its elements are 0. */
export function gradientTable({ layers }: SampleTrace): Exhibit {
  const rows = layers.flatMap(({ type, parameters }) =>
    parameters.map(({ name, shape, size, norm, zeros }) => [
      `${type}, ${name}`,
      shapeText(shape),
      decimal(norm, 4),
      `${thousands(zeros)} of ${thousands(size)}`,
      percent(zeros / size),
    ]),
  );
  return {
    kind: 'table',
    caption: 'The gradient by the parameters',
    header: ['layer', 'shape', 'norm', 'zeros', 'share'],
    rows,
  };
}

function forwardStage({ input, layers }: SampleTrace): Stage {
  const silent = layers.find(({ type }) => type === 'relu');
  const relu = silent
    ? ` [[Relu]] leaves ${positive(silent.values)} of ${thousands(silent.values.length)} above 0.`
    : '';
  return {
    id: 'forward',
    title: 'Forward',
    text: `The ${thousands(input.length)} values of the sample go through the layers, each of which reads what the one before gives: the [[forward pass]].${relu}`,
    exhibits: [
      {
        kind: 'table',
        caption: 'What each layer gives',
        header: ['layer', 'shape', 'above 0', 'norm'],
        rows: [{ type: 'sample', shape: [input.length], values: input }, ...layers].map(({ type, shape, values }) => [
          type,
          shapeText(shape),
          positive(values),
          decimal(normOf(values), 3),
        ]),
      },
    ],
  };
}

function classLossStage({ loss }: SampleTrace, probabilities: readonly number[], { label, names }: RunFacts): Stage {
  return {
    id: 'loss',
    title: 'Loss',
    text: `The label is ${label}, to which the [[softmax]] gives ${percent(Math.exp(-loss))}. The [[cross-entropy]] is minus its logarithm: ${decimal(loss, 4)}.`,
    exhibits: [probabilityBars(probabilities, names)],
  };
}

function valueLossStage(trace: SampleTrace, { names, standardization }: RunFacts): Stage {
  const standardized = standardization
    ? ` Values are learned standardized: less their mean, ${decimal(standardization.mean, 4)}, over their deviation, ${decimal(standardization.deviation, 4)}.`
    : '';
  return {
    id: 'loss',
    title: 'Loss',
    text: `The [[loss]] is the [[mean squared error]]: the squares of what each output is off by, added and divided by their number. Here it is ${decimal(trace.loss, 4)}.${standardized}`,
    exhibits: [squaresTable(trace, names)],
  };
}

/** Shows outputs next to their targets, both as the model has them. */
function squaresTable({ layers, target }: SampleTrace, names: readonly string[]): Exhibit {
  const outputs = layers.at(-1)!.values;
  const rows = Array.from(target as Float32Array, (value, index) => {
    const difference = outputs[index]! - value;
    return [names[index] ?? `${index}`, ...[outputs[index]!, value, difference, difference ** 2].map(fourDigits)];
  });
  return {
    kind: 'table',
    caption: 'The outputs, standardized as the targets are',
    header: ['value', 'output', 'target', 'off by', 'squared'],
    rows: rows.slice(0, mostRows),
  };
}

/** Shows the prediction next to the target, in the unit of the values, for a sample whose target is values. */
export function predictionTable(
  { layers, target }: SampleTrace,
  names: readonly string[],
  standardization: Standardization | undefined,
): Exhibit {
  const [predicted, right] = [layers.at(-1)!.values, target as Float32Array].map((values) =>
    restoreValues(values, standardization),
  ) as [Float32Array, Float32Array];
  const rows = Array.from(right, (value, index) => [
    names[index] ?? `${index}`,
    ...[predicted[index]!, value, predicted[index]! - value].map((number) => significant(number)),
  ]);
  return {
    kind: 'table',
    caption: 'The prediction against the target',
    header: ['value', 'prediction', 'target', 'off by'],
    rows: rows.slice(0, mostRows),
  };
}

/** Maximum rows of a table over outputs, of which there may be thousands. */
const mostRows = 20;

function fourDigits(value: number): string {
  return decimal(value, 4);
}

function backwardStage({ layers, probabilities }: SampleTrace): Stage {
  const begins = probabilities
    ? 'It begins at the [[logit|logits]], where the gradient is the probability, less 1 for the label.'
    : 'It begins at the outputs, where the gradient is twice what they are off by, over their number.';
  return {
    id: 'backward',
    title: 'Backward',
    text: `[[Back-propagation]] goes through the layers in reverse, by the [[chain rule]]. ${begins} Where a [[neuron]] is at 0 behind relu, nothing passes.`,
    exhibits: [
      {
        kind: 'table',
        caption: 'The gradient by what each layer gives',
        header: ['layer', 'shape', 'norm', 'zeros'],
        rows: layers
          .toReversed()
          .map(({ type, shape, gradient }) => [
            type,
            shapeText(shape),
            decimal(normOf(gradient), 4),
            `${thousands(zerosIn(gradient))} of ${thousands(gradient.length)}`,
          ]),
      },
    ],
  };
}

function sendStage({ gradient }: SampleTrace): Stage {
  const zeros = zerosIn(gradient);
  return {
    id: 'send',
    title: 'Send',
    text: 'A worker sends the [[gradient]] to the coordinator: a number for each [[parameter]], the sum over its samples. The samples stay where they are.',
    exhibits: [
      {
        kind: 'figures',
        figures: [
          { label: 'numbers', value: thousands(gradient.length) },
          { label: 'as float32', value: `${thousands(4 * gradient.length)} bytes` },
          { label: 'norm', value: decimal(normOf(gradient), 4) },
          { label: 'are 0 for this sample', value: percent(zeros / gradient.length) },
        ],
      },
    ],
  };
}

function addStage({ parameter }: SingleStep, { batch, microbatches, replicas }: RunFacts): Stage {
  const round =
    replicas === undefined
      ? ''
      : ` In this run a microbatch is one of ${thousands(replicas)} replicas, which takes many steps of its own before the coordinator adds what it sends.`;
  return {
    id: 'add',
    title: 'Add',
    text: `The coordinator adds the gradients of a [[batch]] in a [[reduction tree]], in pairs and in a fixed order, and divides by the number of samples. Here the batch is this one sample: the mean is its gradient.${round}`,
    exhibits: [
      {
        kind: 'figures',
        figures: [
          { label: 'samples of a step in this run', value: thousands(batch) },
          { label: 'microbatches', value: thousands(microbatches) },
          { label: 'levels of the tree', value: thousands(Math.ceil(Math.log2(microbatches))) },
        ],
      },
      {
        kind: 'table',
        caption: captionOf(parameter),
        header: ['sum of gradients', 'samples', 'mean'],
        rows: [[decimal(parameter.gradient, 6), 1, decimal(parameter.gradient, 6)]],
      },
    ],
  };
}

function stepStage({ rule, isOfRun, learningRate, parameter, length, lossBefore, lossAfter }: SingleStep): Stage {
  const { before, gradient, after } = parameter;
  const whose = isOfRun
    ? `The rule is the run's, ${rule.type}, with its [[learning rate]] of this step.`
    : "The run's optimizer keeps a state, which only the coordinator has: this is a step of plain SGD with the run's [[learning rate]].";
  return {
    id: 'step',
    title: 'Step',
    text: `Every weight moves against its gradient. ${whose} For this sample the [[loss]] goes from ${decimal(lossBefore, 4)} to ${decimal(lossAfter, 4)}.`,
    exhibits: [
      {
        kind: 'table',
        caption: captionOf(parameter),
        header: ['before', 'gradient', 'learning rate', 'after'],
        rows: [[before, gradient, learningRate, after].map((value) => decimal(value, 6))],
      },
      {
        kind: 'figures',
        figures: [
          { label: 'loss before', value: decimal(lossBefore, 4) },
          { label: 'loss after', value: decimal(lossAfter, 4) },
          { label: 'length of the step', value: decimal(length, 4) },
        ],
      },
    ],
  };
}

function captionOf({ name, at }: SingleStep['parameter']): string {
  return `The parameter with the largest gradient, ${name}${shapeText(at)}`;
}

/** Shows outputs, such as logits, as bars. */
export function outputBars(caption: string, values: ArrayLike<number>, names: readonly string[]): Exhibit {
  const bars = Array.from(values, (value, index) => ({
    label: names[index] ?? `${index}`,
    value,
    text: decimal(value, 2),
  }));
  return { kind: 'bars', caption, bars };
}

/** Number of classes shown one by one if not all fit in a table. */
const mostProbabilities = 10;

/** Shows the probability of each class; if there are many, only of the most likely ones, and the sum of the others. */
export function probabilityBars(values: readonly number[], names: readonly string[]): Exhibit {
  const all = values.map((value, index) => ({ label: names[index] ?? `${index}`, value, text: percent(value) }));
  const caption = 'The softmax, whose sum is 1';
  if (all.length <= mostRows) return { kind: 'bars', caption, areProbabilities: true, bars: all };
  const likeliest = all.toSorted((left, right) => right.value - left.value);
  const value = likeliest.slice(mostProbabilities).reduce((sum, bar) => sum + bar.value, 0);
  const others = { label: `${thousands(all.length - mostProbabilities)} others`, value, text: percent(value) };
  const bars = [...likeliest.slice(0, mostProbabilities), others];
  return { kind: 'bars', caption, areProbabilities: true, bars };
}

function positive(values: Float32Array): number {
  return values.filter((value) => value > 0).length;
}

function zerosIn(values: Float32Array): number {
  return values.filter((value) => value === 0).length;
}
