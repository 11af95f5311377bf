/** The backends that every test file here runs on: the oracle and the engine that trains, which give the same bits. */
import { openBackend } from '@lockstep/tensor';

export const backends = (['cpu', 'reference'] as const).map((name) => ({
  name,
  open: async () => (await openBackend(name)).backend,
}));
