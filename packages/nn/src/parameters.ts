/** Layout of a model's parameters in one flat float32 vector. */
import { type Backend, fromStorage, type Storage, sizeOf, type Tensor } from '@lockstep/tensor';
import type { LayerParameter } from './layers/layer.ts';
import { layerParameters, type Model } from './model.ts';

interface Parameter extends LayerParameter {
  /** Name in `torch.nn.Sequential`: `0.weight`, `0.bias`, `2.weight`, … */
  readonly name: string;
  /** Index of its layer in `model.layers`. */
  readonly layer: number;
  /** Index of the first element in the flat vector. `size` is the number of elements. */
  readonly offset: number;
  readonly size: number;
}

/** Returns all parameters in model order, contiguous. */
export function parameterLayout(model: Model): Parameter[] {
  let offset = 0;
  return layerParameters(model).flatMap((parameters, layer) =>
    parameters.map((parameter) => {
      const size = sizeOf(parameter.shape);
      offset += size;
      return { ...parameter, name: `${layer}.${parameter.suffix}`, layer, offset: offset - size, size };
    }),
  );
}

/** Returns the length of the flat vector. */
export function parameterCount(model: Model): number {
  return totalSize(parameterLayout(model));
}

/** Returns the length of a flat vector with this layout. */
export function totalSize(layout: readonly Parameter[]): number {
  return layout.reduce((total, { size }) => total + size, 0);
}

/** Returns one tensor per parameter, over the flat `parameters` [P]. Throws if P is not the model's parameter count. */
export function parameterTensors(backend: Backend, model: Model, parameters: Storage): Tensor[] {
  const layout = parameterLayout(model);
  checkParameterCount(model, layout, parameters.length);
  return layout.map(({ offset, size, shape }) => fromStorage(backend, backend.slice(parameters, offset, size), shape));
}

export function checkParameterCount(model: Model, layout: readonly Parameter[], count: number): void {
  const total = totalSize(layout);
  if (count !== total) throw new Error(`model ${model.name}: expected ${total} parameters, got ${count}`);
}
