/** Learns from a folder that has one folder of pictures per class. */
import { openDataset, train } from '@lockstep/train';

// Pictures of any format and size: each becomes 16 x 16 grayscale pixels.
const data = await openDataset('docs/shapes', { size: { width: 16, height: 16 }, gray: true });
console.log(data.found);

const run = train({ data, model: 'cnn', batch: 16, epochs: 30 });
for await (const event of run) {
  if (event.type === 'epoch' && event.epoch % 10 === 0)
    console.log(`epoch ${event.epoch}: loss ${event.testLoss.toFixed(4)}`);
}
const { model } = await run.result;
const { accuracy, topErrors } = await model.evaluate(data.test);
console.log(`test accuracy ${(100 * accuracy!).toFixed(2)} % (${data.test.count} pictures)`);
for (const { label, predicted, probability } of topErrors) {
  console.log(
    `a ${model.classes[label]} is classified as ${model.classes[predicted]}, with ${(100 * probability).toFixed(2)} %`,
  );
}
model.dispose();
