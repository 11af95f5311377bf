/** The backends that every suite here runs on: the oracle, and the engine that trains. */
import { backendNames, openBackend } from '@lockstep/tensor';

export const backends = backendNames.map((name) => ({ name, open: async () => (await openBackend(name)).backend }));
