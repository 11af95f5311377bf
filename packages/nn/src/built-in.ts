/** Models that have a name of their own. */
import { type Model, parseModel } from './model.ts';

/** 784-128-10, for MNIST: 101,770 parameters. */
const mlp: Model = {
  name: 'mlp',
  input: [784],
  layers: [{ type: 'dense', units: 128 }, { type: 'relu' }, { type: 'dense', units: 10 }],
};

export const builtInModels: readonly Model[] = [mlp];

/** The built-in model of that name, or the model that a JSON text describes; throws one sentence otherwise. */
export function resolveModel(nameOrJson: string): Model {
  const builtIn = builtInModels.find(({ name }) => name === nameOrJson);
  if (builtIn) return builtIn;
  if (!nameOrJson.trimStart().startsWith('{')) {
    const names = builtInModels.map(({ name }) => name).join(', ');
    throw new Error(
      `model: expected a JSON object or one of the built-in models (${names}), got ${JSON.stringify(nameOrJson.slice(0, 64))}`,
    );
  }
  let data: unknown;
  try {
    data = JSON.parse(nameOrJson);
  } catch (error) {
    throw new Error(`model: expected JSON, got a text that cannot be read: ${(error as Error).message}`);
  }
  return parseModel(data);
}
