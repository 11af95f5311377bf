/** The smallest run: four samples in memory, and a model as a layer list. */
import { datasetFrom, train } from '@lockstep/train';

const samples = Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1);
const data = datasetFrom({ samples, labels: [0, 1, 1, 0] });
const layers = [{ type: 'dense', units: 8 }, { type: 'tanh' }, { type: 'dense', units: 2 }] as const;
const model = { name: 'xor', input: [2], layers };
const run = train({ data: { train: data, test: data }, model, epochs: 200, batch: 4, optimizer: 'adam' });
const predictions = await (await run.result).model.predict(samples);
console.log(`0^0, 0^1, 1^0, 1^1 = ${predictions.map((prediction) => prediction.class).join(', ')}`);
