/** The error for data that cannot be used. */
import { shownLine } from './shown.ts';

/**
 * Thrown for data that cannot be used. The message is one sentence that names the file, what was
 * expected and what was found; terminal control characters are escaped.
 */
export class DataError extends Error {
  override readonly name = 'DataError';

  constructor(message: string) {
    super(shownLine(message));
  }
}
