/** Files that a person names: read only if regular, written whole or not at all. */

export { checkOutput, fileIdentity } from './check-output.ts';
export { FileError, reasonOf, shownPath } from './file-error.ts';
export { inMiB, type Look, readRegularFile } from './read-regular-file.ts';
export { writeOutput } from './write-output.ts';
