/** The backends that every suite here runs on: the oracle, and the engine that trains. */
import { exactBackendNames, openBackend } from '@lockstep/tensor';

export const backends = exactBackendNames.map((name) => ({
  name,
  open: async () => (await openBackend(name)).backend,
}));
