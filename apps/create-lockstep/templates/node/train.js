/** Trains the network of model.json on MNIST, and writes it to model.safetensors. */
import { readFile, writeFile } from 'node:fs/promises';
import { train } from '@lockstep/train';

const run = train({
  model: await readFile('model.json', 'utf8'),
  optimizer: 'adam',
  epochs: 2,
  seed: 1,
  // workers: 2,    computes in two processes, and ends with the same weights
  // listen: true,  lets other machines and browser tabs join, and shows the run in a page
});

for await (const event of run) {
  if (event.type === 'prepared' || event.type === 'joined') console.log(event.message);
  if (event.type === 'listening') console.log(`Join and watch at ${event.addresses.page}`);
  if (event.type === 'epoch') {
    console.log(`epoch ${event.epoch}: test accuracy ${(100 * event.testAccuracy).toFixed(2)} %`);
  }
}

const result = await run.result;
await writeFile('model.safetensors', result.modelFile());
console.log(`model.safetensors has the weights ${result.report.weightsSha256}`);
