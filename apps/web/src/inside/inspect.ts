/** Inspects a network in the lesson's thread. */
import { traceSample, viewWeights } from '@lockstep/lesson';
import { parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import type { Inspected, InspectRequest } from './messages.ts';

/** @throws Error if the model or the sample is invalid */
export function inspect(backend: HostBackend, { network, sample }: InspectRequest): Inspected {
  const { sampleShape, step } = network;
  const model = parseModel(network.model);
  const weights = floatsFrom(network.weights);
  const weightView = viewWeights(model, sampleShape, weights);
  if (!sample) return { step, weightView, sample: undefined };
  const trace = traceSample(backend, model, weights, sample);
  return { step, weightView, sample: { trace, gradientView: viewWeights(model, sampleShape, trace.gradient) } };
}
