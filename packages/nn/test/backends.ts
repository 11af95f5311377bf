/** The backends that every test file here runs on: the oracle and the engine that trains, which give the same bits. */
import { type HostBackend, openBackend, type Storage } from '@lockstep/tensor';
import { initialize, type Model } from '../src/index.ts';

export const backends = (['cpu', 'reference'] as const).map((name) => ({
  name,
  open: async () => (await openBackend(name)).backend,
}));

/** Uploads the initial parameters of a model to the backend. */
export function uploadInitial(backend: HostBackend, model: Model, seed: number): Storage {
  const values = initialize(model, seed);
  const parameters = backend.allocate(values.length);
  backend.upload(parameters, values);
  return parameters;
}
