/** The backends that every suite here runs on: the oracle, and the engine that trains. */
import { hostBackendNames, openBackend } from '@lockstep/tensor';

export const backends = hostBackendNames.map((name) => ({ name, open: async () => (await openBackend(name)).backend }));
