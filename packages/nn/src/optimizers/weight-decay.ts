/** L2 weight decay, as `torch.optim.SGD`, `Adam` and `RMSprop` have it. */
import { apply, constant, type Formula } from '@lockstep/tensor';

/** `gradient + weightDecay * parameters`: the gradient of the loss plus `weightDecay / 2 * |parameters|^2`. */
export function withWeightDecay(gradient: Formula, parameters: Formula, weightDecay: number): Formula {
  return weightDecay === 0 ? gradient : apply('add', gradient, apply('mul', parameters, constant(weightDecay)));
}
