/** Built-in models, which have a name and adapt to the shape of the data. */
import { formatShape, type Shape, sizeOf } from '@lockstep/tensor';
import type { Layer } from './layers/index.ts';
import { layerShapes, type Model, parseModel } from './model.ts';

/** The data shapes that a model must fit. */
export interface ModelFit {
  /** [height, width, channels] for a picture, [features] for a table row. */
  readonly sampleShape: Shape;
  /** Number of outputs: one score per class, or one per value to predict. */
  readonly outputs: number;
}

const mnist: ModelFit = { sampleShape: [28, 28, 1], outputs: 10 };

interface BuiltIn {
  readonly name: string;
  /** Throws one sentence if the model cannot take samples of this shape. */
  readonly fit: (fit: ModelFit) => Pick<Model, 'input' | 'layers'>;
}

const builtIns: readonly BuiltIn[] = [
  /** 784-128-10 for MNIST: 101,770 parameters. */
  {
    name: 'mlp',
    fit({ sampleShape, outputs }) {
      const layers: Layer[] = [{ type: 'dense', units: 128 }, { type: 'relu' }, { type: 'dense', units: outputs }];
      // PyTorch's flattening order matters only for pictures with several channels.
      const isColor = sampleShape.length === 3 && sampleShape[2]! > 1;
      return isColor
        ? { input: sampleShape, layers: [{ type: 'flatten' }, ...layers] }
        : { input: [sizeOf(sampleShape)], layers };
    },
  },
  /** Two convolutions, each with pooling: 11,274 parameters for MNIST. */
  {
    name: 'cnn',
    fit({ sampleShape, outputs }) {
      if (sampleShape.length !== 3) {
        throw new Error(`model cnn: expected samples of [height, width, channels], got ${formatShape(sampleShape)}`);
      }
      return {
        input: sampleShape,
        layers: [
          { type: 'conv2d', filters: 8, kernel: 5, padding: 2 },
          { type: 'relu' },
          { type: 'maxPool2d', window: 2 },
          { type: 'conv2d', filters: 16, kernel: 5, padding: 2 },
          { type: 'relu' },
          { type: 'maxPool2d', window: 2 },
          { type: 'flatten' },
          { type: 'dense', units: outputs },
        ],
      };
    },
  },
];

/** Names of the built-in models. */
export const builtInModels: readonly string[] = builtIns.map(({ name }) => name);

/**
 * Returns the built-in model of that name, fitted to the data, or the model described by a JSON text.
 * Throws one sentence if the text is neither.
 * @param fit the shapes of MNIST by default
 */
export function resolveModel(nameOrJson: string, fit: ModelFit = mnist): Model {
  const builtIn = builtIns.find(({ name }) => name === nameOrJson);
  if (builtIn) {
    const model = { name: builtIn.name, ...builtIn.fit(fit) };
    // Throws if the samples are too small for a layer.
    layerShapes(model);
    return model;
  }
  if (!nameOrJson.trimStart().startsWith('{')) {
    const names = builtInModels.join(', ');
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
