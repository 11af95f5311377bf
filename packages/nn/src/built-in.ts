/** The models that have a name of their own, and fit themselves to the data. */
import { formatShape, type Shape, sizeOf } from '@lockstep/tensor';
import type { Layer } from './layers/index.ts';
import { layerShapes, type Model, parseModel } from './model.ts';

/** What a model is to fit. */
export interface ModelFit {
  /** [height, width, channels] of a picture, [features] of a table row. */
  readonly sampleShape: Shape;
  /** A score for each class, or values. */
  readonly outputs: number;
}

const mnist: ModelFit = { sampleShape: [28, 28, 1], outputs: 10 };

interface BuiltIn {
  readonly name: string;
  /** Throws one sentence where the model cannot take such samples. */
  readonly fit: (fit: ModelFit) => Pick<Model, 'input' | 'layers'>;
}

const builtIns: readonly BuiltIn[] = [
  /** 784-128-10 for MNIST: 101,770 parameters. */
  {
    name: 'mlp',
    fit({ sampleShape, outputs }) {
      const layers: Layer[] = [{ type: 'dense', units: 128 }, { type: 'relu' }, { type: 'dense', units: outputs }];
      // Only of a picture in color does the order matter in which PyTorch flattens it.
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

/** The names of the models that need no layer list. */
export const builtInModels: readonly string[] = builtIns.map(({ name }) => name);

/**
 * The built-in model of that name, fitted to the data, or the one that a JSON text describes.
 * Throws one sentence where it is neither.
 * @param fit MNIST where left out
 */
export function resolveModel(nameOrJson: string, fit: ModelFit = mnist): Model {
  const builtIn = builtIns.find(({ name }) => name === nameOrJson);
  if (builtIn) {
    const model = { name: builtIn.name, ...builtIn.fit(fit) };
    // Samples may be too small for a layer, which then says so.
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
