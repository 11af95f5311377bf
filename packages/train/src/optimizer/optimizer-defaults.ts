/** The names of the optimizers and their defaults, as the table of options shows them. */
import { defaultOptimizer, type OptimizerType, optimizers } from '@lockstep/nn';
import { optimizerTypes } from '../check-options.ts';

/** Such as `0, or 0.9 for momentum`, over the optimizers that have the setting. */
export function defaultsOfSetting(setting: 'momentum' | 'weightDecay'): string {
  const others = optimizerTypes
    .map((type) => ({ type, value: defaultSetting(type, setting) }))
    .filter(({ value }) => value !== 0);
  return ['0', ...others.map(({ type, value }) => `${value} for ${type}`)].join(', or ');
}

/** Such as `0.1 for sgd, 0.05 for momentum`. */
export function defaultLearningRates(): string {
  return optimizerTypes.map((type) => `${optimizers[type].defaultLearningRate} for ${type}`).join(', ');
}

/** What an optimizer takes where a setting that is 0 in most of them is left out. */
export function defaultSetting(type: OptimizerType, setting: 'momentum' | 'weightDecay'): number {
  const config: { readonly momentum?: number; readonly weightDecay?: number } = defaultOptimizer(type);
  return config[setting] ?? 0;
}
