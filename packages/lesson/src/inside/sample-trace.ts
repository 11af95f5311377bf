/** Traces one sample through a model and back: the output of each layer, and the gradient with respect to it. */
import {
  byteDivisor,
  layerOutputs,
  losses,
  type Model,
  parameterLayout,
  probabilitiesOf,
  type SampleValues,
} from '@lockstep/nn';
import {
  add,
  fromArray,
  type HostBackend,
  type Shape,
  sum,
  type Tensor,
  tidy,
  valueAndGrad,
  zeros,
} from '@lockstep/tensor';

/** A sample of a task, with the index of its class or with its target values. */
export interface LabeledSample {
  readonly values: SampleValues;
  /** Class index, or target values, which are standardized if the run's are. */
  readonly target: number | Float32Array;
}

/** The weights or biases of a layer, and the size of the gradient with respect to them. */
export interface ParameterTrace {
  /** Name as in a model file, such as `0.weight`. */
  readonly name: string;
  readonly shape: Shape;
  /** Index of the first element in the flat parameters, and number of elements. */
  readonly offset: number;
  readonly size: number;
  /** Euclidean norm of the gradient. */
  readonly norm: number;
  /** Number of gradient elements that are 0. */
  readonly zeros: number;
}

export interface LayerTrace {
  readonly type: string;
  /** Shape of the layer's output for one sample. */
  readonly shape: Shape;
  readonly values: Float32Array;
  /** Gradient of the loss with respect to `values`. */
  readonly gradient: Float32Array;
  readonly parameters: readonly ParameterTrace[];
}

export interface SampleTrace {
  /** Values as the first layer reads them. */
  readonly input: Float32Array;
  readonly layers: readonly LayerTrace[];
  /** Label or target values of the sample. */
  readonly target: LabeledSample['target'];
  /** Softmax of the last layer's values; undefined if the target is values. */
  readonly probabilities: readonly number[] | undefined;
  readonly loss: number;
  /** Gradient of the loss with respect to all parameters, in model order. */
  readonly gradient: Float32Array;
}

/**
 * Runs one sample forward and back, without dropout.
 * @param weights all parameters in model order
 * @throws Error if the sizes do not match the model
 */
export function traceSample(
  backend: HostBackend,
  model: Model,
  weights: Float32Array,
  { values, target }: LabeledSample,
): SampleTrace {
  return tidy(() => {
    const x = inputTensor(backend, model, values);
    const parameters = parameterTensors(backend, model, weights);
    const outputs = layerOutputs(model, x, parameters);
    // Zeros are added to every output, so that one backward pass also gives the gradient with respect to each output.
    const added = outputs.map(({ shape }) => zeros(backend, shape));
    const { value, gradients } = valueAndGrad(
      (...all) => {
        const pass = (output: Tensor, layer: number): Tensor => add(output, all[parameters.length + layer]!);
        return sampleLoss(layerOutputs(model, x, all.slice(0, parameters.length), { pass }).at(-1)!, target);
      },
      [...parameters, ...added],
    );
    const read = ({ storage }: Tensor): Float32Array => backend.view(storage).slice();
    const gradient = joined(gradients.slice(0, parameters.length).map(read), weights.length);
    return {
      input: read(x),
      layers: outputs.map((output, layer) => ({
        type: model.layers[layer]!.type,
        shape: output.shape.slice(1),
        values: read(output),
        gradient: read(gradients[parameters.length + layer]!),
        parameters: parameterTraces(model, layer, gradient),
      })),
      target,
      probabilities: typeof target === 'number' ? probabilitiesOf(read(outputs.at(-1)!)) : undefined,
      loss: read(value)[0]!,
      gradient,
    };
  });
}

/** Returns [1, ...input], with bytes scaled as in training. */
function inputTensor(backend: HostBackend, { input }: Model, values: SampleValues): Tensor {
  const shape = [1, ...input];
  if (values instanceof Float32Array) return fromArray(backend, values, shape);
  const tensor = zeros(backend, shape);
  if (values.length !== tensor.size) throw new Error(`sample: expected ${tensor.size} bytes, got ${values.length}`);
  backend.uploadBytes(tensor.storage, values, byteDivisor);
  return tensor;
}

function parameterTensors(backend: HostBackend, model: Model, weights: Float32Array): Tensor[] {
  const layout = parameterLayout(model);
  const count = layout.reduce((total, { size }) => total + size, 0);
  if (weights.length !== count) throw new Error(`weights: expected ${count} values, got ${weights.length}`);
  return layout.map(({ offset, size, shape }) => fromArray(backend, weights.subarray(offset, offset + size), shape));
}

/** Returns the loss that training minimizes, for outputs [1, outputs]. */
function sampleLoss(outputs: Tensor, target: LabeledSample['target']): Tensor {
  const { backend, shape } = outputs;
  if (typeof target === 'number') return sum(losses.classes.each(outputs, fromArray(backend, [target])));
  const count = shape[1]!;
  if (target.length !== count) throw new Error(`target: expected ${count} values, got ${target.length}`);
  return sum(losses.values.each(outputs, fromArray(backend, target, shape)));
}

function parameterTraces(model: Model, layer: number, gradient: Float32Array): ParameterTrace[] {
  return parameterLayout(model)
    .filter((parameter) => parameter.layer === layer)
    .map(({ name, shape, offset, size }) => {
      const own = gradient.subarray(offset, offset + size);
      return { name, shape, offset, size, norm: normOf(own), zeros: own.filter((value) => value === 0).length };
    });
}

/** Returns the Euclidean norm, computed in float64. */
function normOf(values: Float32Array): number {
  return Math.sqrt(values.reduce((total, value) => total + value * value, 0));
}

function joined(parts: readonly Float32Array[], length: number): Float32Array {
  const whole = new Float32Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
