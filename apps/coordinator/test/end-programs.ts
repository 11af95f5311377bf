/** Ends what tests have started, also where files share a process: vitest loads this for each file. */
import { afterAll, afterEach } from 'vitest';
import { endPrograms } from './processes.ts';

afterEach(() => endPrograms({ alsoShared: false }));
afterAll(() => endPrograms({ alsoShared: true }));
