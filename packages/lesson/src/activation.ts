/** The nonlinear functions that chapters offer by name. */
import { gelu, leakyRelu, relu, sigmoid, type Tensor, tanh } from '@lockstep/tensor';

export type ActivationName = 'none' | 'relu' | 'leakyRelu' | 'gelu' | 'sigmoid' | 'tanh';

export const activationFunctions: Readonly<Record<ActivationName, (x: Tensor) => Tensor>> = {
  none: (x) => x,
  relu,
  leakyRelu: (x) => leakyRelu(x, 0.01),
  gelu: (x) => gelu(x),
  sigmoid,
  tanh,
};
