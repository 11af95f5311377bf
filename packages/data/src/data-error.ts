/** The error for data that cannot be used. */
import { shownLine } from '@lockstep/files/shown';

/** The message is one sentence that names the file, what was expected and what it holds, as a terminal may show it. */
export class DataError extends Error {
  override readonly name = 'DataError';

  constructor(message: string) {
    super(shownLine(message));
  }
}
