/** Model files: a model's parameters in a safetensors file that `torch.nn.Sequential.load_state_dict` accepts. */
import { formatShape } from '@lockstep/tensor';
import type { Model } from './model.ts';
import { checkParameterCount, parameterLayout, totalSize } from './parameters.ts';
import { type NamedTensor, readSafetensors, writeSafetensors } from './safetensors.ts';
import { fromTorch, toTorch } from './torch-layout.ts';

/** Converts the parameters [parameterCount] to tensors with PyTorch's names, order and layouts. */
export function torchTensors(model: Model, parameters: Float32Array): NamedTensor[] {
  const layout = parameterLayout(model);
  checkParameterCount(model, layout, parameters.length);
  return layout.map((parameter) => {
    const values = parameters.subarray(parameter.offset, parameter.offset + parameter.size);
    return { name: parameter.name, shape: parameter.torch.shape, values: toTorch(values, parameter.torch) };
  });
}

/**
 * Returns the bytes of a safetensors file with a model and its weights.
 * `parameters` is the flat vector `[parameterCount]`; the model itself goes into the metadata under `model`.
 */
export function writeModelFile(
  model: Model,
  parameters: Float32Array,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const tensors = torchTensors(model, parameters);
  return writeSafetensors({ tensors, metadata: { format: 'pt', model: JSON.stringify(model), ...metadata } });
}

/**
 * Returns the flat vector of a file's parameters.
 * Throws one sentence if names or shapes differ from the model's.
 */
export function readModelFile(model: Model, bytes: Uint8Array): Float32Array {
  const layout = parameterLayout(model);
  const { tensors } = readSafetensors(bytes);
  const names = new Set(layout.map(({ name }) => name));
  const unknown = tensors.find(({ name }) => !names.has(name));
  if (unknown) throw new Error(`model ${model.name}: the file holds ${unknown.name}, which the model does not have`);
  const parameters = new Float32Array(totalSize(layout));
  for (const parameter of layout) {
    const tensor = tensors.find(({ name }) => name === parameter.name);
    if (!tensor) throw new Error(`model ${model.name}: the file lacks ${parameter.name}`);
    const expected = parameter.torch.shape;
    if (tensor.shape.join() !== expected.join()) {
      const got = formatShape(tensor.shape);
      throw new Error(`model ${model.name}: ${parameter.name}: expected ${formatShape(expected)}, got ${got}`);
    }
    parameters.set(fromTorch(tensor.values, parameter.torch), parameter.offset);
  }
  return parameters;
}
