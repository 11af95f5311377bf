/** A live run: a small network that trains while its settings change, with each curve kept next to the others. */
import { type LessonContext, type LiveDefinition, type Setting, settingsOf } from './chapter.ts';
import type { Exhibit, NeuronLayer, Neurons, Pictures } from './exhibit.ts';
import {
  beginsCurve,
  type LiveData,
  LiveNetwork,
  type LiveSettings,
  liveData,
  pictureSide,
  planeExtent,
  valuesOfAll,
} from './live-network.ts';
import { type Measured, meanOf, planeGrid } from './values.ts';
import { type Verdict, verdictOf } from './verdict.ts';

type Given = Readonly<Record<string, Setting | undefined>>;

/** Number of steps whose mean loss is one point of a curve. */
export const stepsPerPlace = 5;
/** Number of steps after which a curve ends. */
export const liveSteps = 2000;
const mostCurves = 4;
/** The next curve replaces one with fewer steps than this. */
const leastSteps = 50;

/** Number of training samples shown in the plane, of test digits next to a curve, and of neurons in each layer. */
const [shownPoints, shownDigits, shownNeurons] = [120, 10, 16];
const fieldGrid = planeGrid(planeExtent, 32);
const neuronGrid = planeGrid(planeExtent, 16);
const smallestProbability = 1e-38;

/** A growing curve, and the settings that it began with. */
interface Growing {
  readonly first: LiveSettings;
  readonly steps: number[];
  readonly losses: number[];
  readonly accuracies: number[];
  readonly changes: { step: number; text: string }[];
  readonly untrained: Measured;
  verdict?: Verdict;
}

export class LiveRun {
  readonly #context: LessonContext;
  readonly #definition: LiveDefinition;
  readonly #curves: Growing[] = [];
  #network: LiveNetwork;
  #data: LiveData;
  /** [samples * inputs] */
  #testValues: Float32Array;

  /** @throws Error if the run uses digits, and the context has too few */
  constructor(context: LessonContext, definition: LiveDefinition, given: Given = {}) {
    this.#context = context;
    this.#definition = definition;
    const settings = this.#settings(given);
    this.#data = liveData(context, settings.data);
    this.#testValues = valuesOfAll(this.#data.test, this.#data.inputs);
    this.#network = new LiveNetwork(context.backend, this.#data, settings);
    this.#curves.push(this.#newCurve(settings));
  }

  /** Whether the newest curve has neither ended nor diverged. */
  get canAdvance(): boolean {
    return this.#curves.at(-1)!.verdict === undefined;
  }

  /** Trains the newest curve up to its next point, if it can advance. @returns whether it can advance further */
  advance(): boolean {
    if (!this.canAdvance) return false;
    const curve = this.#curves.at(-1)!;
    const taken = curve.steps.at(-1) ?? 0;
    const losses = Array.from({ length: stepsPerPlace }, () => this.#network.step());
    curve.steps.push(taken + stepsPerPlace);
    curve.losses.push(meanOf(losses));
    const tested = this.#tested();
    curve.accuracies.push(tested.accuracy);
    const hasFinite = losses.every(Number.isFinite);
    if (!hasFinite || taken + stepsPerPlace >= liveSteps) {
      curve.verdict = verdictOf({
        losses: [curve.untrained.loss, hasFinite ? tested.loss : Number.NaN],
        accuracy: { chance: 1 / this.#data.classes, test: tested.accuracy },
      });
    }
    return this.canAdvance;
  }

  /**
   * Applies other settings. If they do not affect the parameters and the curve can advance, they apply from the next
   * step on; otherwise a new curve begins.
   * @throws RangeError if a control does not accept its setting
   */
  change(given: Given): void {
    const before = this.#network.settings;
    const next = this.#settings(given);
    const changed = Object.keys(this.#definition.controls).filter(
      (name) => settingOf(before, name) !== settingOf(next, name),
    );
    if (changed.length === 0) return;
    if (changed.some(beginsCurve) || !this.canAdvance) {
      this.#begin(next);
      return;
    }
    this.#network.change(next);
    const curve = this.#curves.at(-1)!;
    const step = curve.steps.at(-1) ?? 0;
    if (step === 0) {
      this.#curves[this.#curves.length - 1] = this.#newCurve(next);
      return;
    }
    // Moves of a slider between two steps count as one change.
    for (const name of changed) {
      const label = this.#definition.controls[name]!.label;
      const earlier = curve.changes.findIndex((each) => each.step === step && each.text.startsWith(`${label} `));
      if (earlier >= 0) curve.changes.splice(earlier, 1);
      curve.changes.push({ step, text: `${label} ${settingOf(next, name)}` });
    }
  }

  /** Begins a new curve with the current settings. */
  restart(): void {
    this.#begin(this.#network.settings);
  }

  exhibits(): readonly Exhibit[] {
    const curves: Exhibit = {
      kind: 'live-curves',
      caption: this.#definition.caption,
      length: liveSteps,
      curves: this.#curves.map(({ first, ...curve }, index) => ({ ...curve, label: this.#label(first, index) })),
    };
    return this.#data.inputs === 2 ? [curves, this.#plane(), neuronPictures(this.#network)] : [curves, this.#answers()];
  }

  dispose(): void {
    this.#network.dispose();
  }

  #settings(given: Given): LiveSettings {
    const { controls, fixed } = this.#definition;
    return { ...fixed, ...settingsOf(controls, given) } as unknown as LiveSettings;
  }

  #begin(settings: LiveSettings): void {
    const isShort = (this.#curves.at(-1)!.steps.at(-1) ?? 0) < leastSteps;
    if (isShort) this.#curves.pop();
    else if (this.#curves.length === mostCurves) this.#curves.shift();
    this.#network.dispose();
    if (settings.data !== this.#network.settings.data) {
      this.#data = liveData(this.#context, settings.data);
      this.#testValues = valuesOfAll(this.#data.test, this.#data.inputs);
    }
    this.#network = new LiveNetwork(this.#context.backend, this.#data, settings);
    this.#curves.push(this.#newCurve(settings));
  }

  #newCurve(first: LiveSettings): Growing {
    return { first, steps: [], losses: [], accuracies: [], changes: [], untrained: this.#tested() };
  }

  #tested(): Measured {
    const { test, classes } = this.#data;
    const outputs = this.#network.probabilities(this.#testValues);
    let [correct, lossSum] = [0, 0];
    for (let sample = 0; sample < test.labels.length; sample++) {
      const own = outputs.subarray(sample * classes, (sample + 1) * classes);
      if (own.indexOf(Math.max(...own)) === test.labels[sample]) correct++;
      // A probability that float32 rounds to 0 must not make the loss infinite.
      lossSum -= Math.log(Math.max(own[test.labels[sample]!]!, smallestProbability));
    }
    return { loss: lossSum / test.labels.length, accuracy: correct / test.labels.length };
  }

  /** Returns the curve's number, with the settings that differ if not all curves began alike. */
  #label(first: LiveSettings, index: number): string {
    const differing = Object.entries(this.#definition.controls).filter(
      ([name]) => new Set(this.#curves.map((curve) => settingOf(curve.first, name))).size > 1,
    );
    const parts = differing.map(([name, { label }]) => `${label.toLowerCase()} ${settingOf(first, name)}`);
    return `${index + 1}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`;
  }

  /** Shows the first test digits and the network's predictions. */
  #answers(): Pictures {
    const { test, classes, inputs } = this.#data;
    const outputs = this.#network.probabilities(this.#testValues);
    return {
      kind: 'pictures',
      caption: `${shownDigits} test digits and the network's predictions`,
      rows: pictureSide,
      columns: pictureSide,
      pictures: Array.from({ length: shownDigits }, (_, sample) => {
        const own = outputs.subarray(sample * classes, (sample + 1) * classes);
        const answer = own.indexOf(Math.max(...own));
        return {
          values: this.#testValues.slice(sample * inputs, (sample + 1) * inputs),
          text: `${test.labels[sample]}: predicts ${answer}, ${Math.round(100 * own[answer]!)} %`,
        };
      }),
    };
  }

  #plane(): Exhibit {
    const { rows, columns, centers } = fieldGrid;
    const { train } = this.#data;
    const values = this.#network.probabilities(centers).filter((_, index) => index % 2 === 1);
    const place = new Float32Array(2);
    return {
      kind: 'plane',
      caption: 'Probability of the second class at each place',
      x: planeExtent,
      y: planeExtent,
      field: { rows, columns, values: [...values], low: 0, high: 1 },
      points: Array.from({ length: shownPoints }, (_, sample) => {
        train.write(sample, place, 0);
        return { x: place[0]!, y: place[1]!, label: '', isOn: train.labels[sample] === 1 };
      }),
    };
  }
}

function settingOf(settings: LiveSettings, name: string): Setting {
  return settings[name as keyof LiveSettings];
}

function neuronPictures(network: LiveNetwork): Neurons {
  const { width } = network.settings;
  return {
    kind: 'neurons',
    caption: 'Output of each hidden neuron over the plane',
    rows: neuronGrid.rows,
    columns: neuronGrid.columns,
    layers: network.hidden(neuronGrid.centers).map((values) => layerOf(values, width)),
  };
}

/** @param values [cells, neurons] */
function layerOf(values: Float32Array, neurons: number): NeuronLayer {
  const [shown, cells] = [Math.min(neurons, shownNeurons), neuronGrid.rows * neuronGrid.columns];
  const pictures = new Float32Array(shown * cells);
  for (let neuron = 0; neuron < shown; neuron++) {
    const own = Float32Array.from({ length: cells }, (_, cell) => values[cell * neurons + neuron]!);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    pictures.set(
      own.map((value) => (largest > 0 ? value / largest : 0)),
      neuron * cells,
    );
  }
  return { neurons, values: pictures };
}
