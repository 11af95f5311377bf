/** Learns to classify irises from a CSV file with a header row. */
import { openDataset, train } from '@lockstep/train';

const data = await openDataset('docs/iris.csv', { label: 'species' });
console.log(data.found);

const { model, report } = await train({ data, epochs: 100, optimizer: { type: 'momentum', learningRate: 0.01 } })
  .result;
const { accuracy, confusion } = await model.evaluate(data.test);
console.log(`test accuracy ${(100 * accuracy!).toFixed(2)} % (${data.test.count} flowers) after ${report.steps} steps`);
confusion!.forEach((counts, species) => {
  console.log(`${model.classes[species]!.padEnd(12)} classified as ${model.classes.join(', ')}: ${counts.join(', ')}`);
});
model.dispose();
