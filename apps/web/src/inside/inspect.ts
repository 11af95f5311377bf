/** Inspects a network in the lesson's thread. */
import { singleStep, traceSample, viewWeights } from '@lockstep/lesson';
import { parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import type { Inspected, InspectRequest } from './messages.ts';

/** @throws Error if the model, the optimizer or the sample is invalid */
export function inspect(backend: HostBackend, { network, sample }: InspectRequest): Inspected {
  const { sampleShape, optimizer, step } = network;
  const model = parseModel(network.model);
  const weights = floatsFrom(network.weights);
  const weightView = viewWeights(model, sampleShape, weights);
  if (!sample) return { step, weightView, sample: undefined };
  const trace = traceSample(backend, model, weights, sample);
  const single = singleStep(backend, model, { weights, sample, trace, optimizer, step });
  return { step, weightView, sample: { trace, single, gradientView: viewWeights(model, sampleShape, trace.gradient) } };
}
