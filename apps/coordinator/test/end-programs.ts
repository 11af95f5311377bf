/** Ends the programs that tests start. vitest loads this for each file, even if files share a process. */
import { afterAll, afterEach } from 'vitest';
import { endPrograms } from './processes.ts';

afterEach(() => endPrograms({ alsoShared: false }));
afterAll(() => endPrograms({ alsoShared: true }));
