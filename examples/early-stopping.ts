/** Stops a run when the loss on test samples has not improved for some epochs. */
import { train } from '@lockstep/train';

const patience = 10;
const epochs = 1000;
let best = { loss: Number.POSITIVE_INFINITY, epoch: 0 };

const run = train({ data: 'docs/iris.csv', epochs, optimizer: { type: 'adam', learningRate: 0.01 } });
for await (const event of run) {
  if (event.type !== 'epoch') continue;
  if (event.testLoss < best.loss) best = { loss: event.testLoss, epoch: event.epoch };
  if (event.epoch - best.epoch < patience) continue;
  // The loop still receives the last events of the run, and ends with them.
  void run.stop();
}
const { outcome, report } = await run.result;
console.log(`${outcome} after ${report.epochs.length} of ${epochs} epochs`);
console.log(`the lowest loss was ${best.loss.toFixed(4)}, after epoch ${best.epoch}`);
