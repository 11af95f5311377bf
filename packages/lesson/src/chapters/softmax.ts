/** The softmax: from logits to probabilities, temperature, and numerical stability. */
import { div, exp, fromArray, type HostBackend, log, mul, neg, softmax as softmaxOf, sum } from '@lockstep/tensor';
import { defineChapter, range } from '../chapter.ts';
import { bars, decimal, figures, percent, table } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { scalarOf, valuesOf } from '../values.ts';

const others = [0, -1, 1.5, 0.5];
const comparedTemperatures = [0.05, 1, 50];
const comparedShifts = [0, 100, 1000];

export const softmaxChapter = defineChapter({
  id: 'softmax',
  title: 'Softmax and temperature',
  claim:
    'Softmax turns any logits into probabilities. A low temperature makes them certain, a high one makes them equal, and adding the same number to all logits changes nothing.',
  text: [
    '[[Softmax]] raises e to each [[logit]] and divides by the sum: all results are above 0 and add up to 1. Only differences matter: a class whose logit is larger by 2 is e² = 7.39 times as likely.',
    'The logits are often divided by a [[temperature]] first. Below 1 it makes the probabilities sharper; near 0 the largest becomes 1. Above 1 it makes them flatter, until all are nearly equal.',
    'e to the power of 89 is more than a float32 can hold. Adding the same number to all logits changes no probability, so softmax subtracts the largest logit first, and no power is above 1. Shift the logits to see the plain formula overflow while softmax does not.',
  ],
  live: defineLive({
    caption: 'Training with a temperature',
    hint: 'At a high temperature all classes are nearly equally likely, so the gradient is small and learning is slow. At a low temperature the network is certain before it has learned: the first losses are large, and so are the steps.',
    names: ['data', 'temperature'],
    first: { temperature: 5 },
  }),
  controls: {
    temperature: range({ label: 'Temperature', from: 0.05, to: 50, fallback: 1, step: 0.05, scale: 'log' }),
    top: range({ label: 'The first logit', from: -5, to: 10, fallback: 2, step: 0.1 }),
    shift: range({ label: 'Added to all logits', from: 0, to: 200, fallback: 0, step: 1 }),
  },
  *run({ backend }, { temperature, top, shift }) {
    const logits = [top, ...others].map((value) => value + shift);
    const probabilities = probabilitiesOf(backend, logits, temperature);
    const plain = plainFormula(backend, logits, temperature);
    yield {
      logits,
      probabilities,
      plain,
      entropy: entropyOf(backend, probabilities),
      temperatures: comparedTemperatures.map((each) => {
        const own = probabilitiesOf(backend, logits, each);
        return { temperature: each, largest: Math.max(...own), smallest: Math.min(...own) };
      }),
      shifts: comparedShifts.map((each) => {
        const shifted = [top, ...others].map((value) => value + each);
        return {
          shift: each,
          first: probabilitiesOf(backend, shifted, temperature)[0]!,
          plain: plainFormula(backend, shifted, temperature)[0]!,
        };
      }),
    };
  },
  show: ({ logits, probabilities, plain, entropy, temperatures, shifts }) => [
    bars(
      'Probabilities',
      Array.from(probabilities, (value, index) => ({
        label: decimal(logits[index]!, 1),
        value,
        text: percent(value),
      })),
      true,
    ),
    figures({
      sum: decimal(
        probabilities.reduce((total, value) => total + value, 0),
        6,
      ),
      'entropy, in nats': `${decimal(entropy)} of at most ${decimal(Math.log(logits.length))}`,
      [`logit ${decimal(logits[0]!, 1)} against logit ${decimal(logits[1]!, 1)}`]: likelihoodText(
        probabilities[0]!,
        probabilities[1]!,
      ),
      'the plain formula': plain.every(Number.isFinite)
        ? 'gives the same result'
        : 'overflows: infinity / infinity is not a number',
    }),
    table(
      'These logits at three temperatures',
      ['temperature', 'largest probability', 'smallest probability'],
      temperatures.map((row) => [row.temperature, percent(row.largest), percent(row.smallest)]),
    ),
    table(
      'The first probability after a shift of all logits',
      ['added to all', 'softmax', 'plain formula'],
      shifts.map((row) => [row.shift, decimal(row.first, 4), decimal(row.plain, 4)]),
    ),
    table(
      'With the largest subtracted first, and without',
      ['logit', 'softmax', 'plain formula'],
      logits.map((logit, index) => [decimal(logit, 1), decimal(probabilities[index]!, 4), decimal(plain[index]!, 4)]),
    ),
  ],
});

function probabilitiesOf(backend: HostBackend, logits: readonly number[], temperature: number): Float32Array {
  return valuesOf(backend, () => softmaxOf(fromArray(backend, logits, [1, logits.length]), { temperature }));
}

/** Divides the powers of e by their sum, both of which may overflow. */
function plainFormula(backend: HostBackend, logits: readonly number[], temperature: number): Float32Array {
  return valuesOf(backend, () => {
    const powers = exp(div(fromArray(backend, logits), temperature));
    return div(powers, sum(powers));
  });
}

function entropyOf(backend: HostBackend, probabilities: Float32Array): number {
  const positive = probabilities.filter((probability) => probability > 0);
  return scalarOf(backend, () => {
    const kept = fromArray(backend, positive);
    return neg(sum(mul(kept, log(kept))));
  });
}

function likelihoodText(first: number, second: number): string {
  return second > 0 ? `${decimal(first / second, 2)} times as likely` : 'the second has probability 0 in float32';
}
