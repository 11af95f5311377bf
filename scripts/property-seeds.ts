/** Property tests use the same random values each time; long tests use those of their fresh seed. */
import { configureGlobal, readConfigureGlobal } from 'fast-check';

configureGlobal({ ...readConfigureGlobal(), seed: Number(process.env['LOCKSTEP_LONG_SEED'] ?? 1) });
