/** The models that have a name of their own. */
import { type Model, parseModel } from './model.ts';

export const builtInModels: readonly Model[] = [
  /** 784-128-10, for MNIST: 101,770 parameters. */
  {
    name: 'mlp',
    input: [784],
    layers: [{ type: 'dense', units: 128 }, { type: 'relu' }, { type: 'dense', units: 10 }],
  },
  /** Two convolutions, each with pooling, for MNIST: 11,274 parameters. */
  {
    name: 'cnn',
    input: [28, 28, 1],
    layers: [
      { type: 'conv2d', filters: 8, kernel: 5, padding: 2 },
      { type: 'relu' },
      { type: 'maxPool2d', window: 2 },
      { type: 'conv2d', filters: 16, kernel: 5, padding: 2 },
      { type: 'relu' },
      { type: 'maxPool2d', window: 2 },
      { type: 'flatten' },
      { type: 'dense', units: 10 },
    ],
  },
];

/** The built-in model of that name, or the model that a JSON text describes; throws one sentence otherwise. */
export function resolveModel(nameOrJson: string): Model {
  const builtIn = builtInModels.find(({ name }) => name === nameOrJson);
  if (builtIn) return builtIn;
  if (!nameOrJson.trimStart().startsWith('{')) {
    const names = builtInModels.map(({ name }) => name).join(', ');
    const got = JSON.stringify(nameOrJson.slice(0, 64));
    throw new Error(`model: expected a JSON object or one of the built-in models (${names}), got ${got}`);
  }
  let data: unknown;
  try {
    data = JSON.parse(nameOrJson);
  } catch (error) {
    throw new Error(`model: expected JSON, got a text that cannot be read: ${(error as Error).message}`);
  }
  return parseModel(data);
}
