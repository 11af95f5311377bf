/** Ends with the weights of its best epoch, and stops when ten epochs have brought no improvement. */
import { train } from '@lockstep/train';

const options = { data: 'docs/iris.csv', epochs: 1000, optimizer: { type: 'adam', learningRate: 0.01 } } as const;
const { report } = await train({ ...options, keep: 'best', patience: 10 }).result;
console.log(`stopped after ${report.epochs.length} of ${options.epochs} epochs`);
const { epoch, value } = report.kept!;
console.log(`the lowest validation loss was ${value.toFixed(4)}, after epoch ${epoch}`);
