/** The error for data that cannot be used. */

/** The message is one sentence that names the file, what was expected and what it holds. */
export class DataError extends Error {
  override readonly name = 'DataError';
}
