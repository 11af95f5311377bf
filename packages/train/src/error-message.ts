/** The message of whatever was thrown: `catch` does not promise an Error. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
