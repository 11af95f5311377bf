/** Tries three learning rates on the same samples, from the same weights, in the same order. */
import { openDataset, train } from '@lockstep/train';

const data = await openDataset('docs/iris.csv');

console.log('rate     train loss   test loss   test accuracy');
const tried: { learningRate: number; loss: number }[] = [];
for (const learningRate of [0.0001, 0.05, 2]) {
  const run = train({ data, epochs: 20, batch: 16, optimizer: { type: 'sgd', learningRate } });
  const { trainLoss, testLoss, testAccuracy } = (await run.result).report.epochs.at(-1)!;
  const cells = [trainLoss.toFixed(4), testLoss.toFixed(4), `${(100 * testAccuracy!).toFixed(2)} %`];
  console.log(`${learningRate}`.padEnd(6) + cells.map((cell, index) => cell.padStart([13, 12, 16][index]!)).join(''));
  tried.push({ learningRate, loss: testLoss });
}
const best = tried.reduce((least, next) => (next.loss < least.loss ? next : least));
console.log(`the best rate is ${best.learningRate}`);
