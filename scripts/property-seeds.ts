/** Properties are tried on the same random values each time; long tests, on those of their fresh seed. */
import { configureGlobal, readConfigureGlobal } from 'fast-check';

configureGlobal({ ...readConfigureGlobal(), seed: Number(process.env['LOCKSTEP_LONG_SEED'] ?? 1) });
