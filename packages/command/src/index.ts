/** The command line of every app: options as a table, files, one sentence for bad input, results in columns. */
export { shownLine } from '@lockstep/files/shown';
export { commandLineNames, libraryOptions, parseOptions, readCommandLine, version } from './command-line.ts';
export { commandText, shellWord, tokenBefore } from './command-text.ts';
export { CommandFailure, errorMessage, runMain, usageFailure } from './failure.ts';
export { helpText, optionTables } from './help.ts';
export { fleetFailure, fleetOf, joinFailure, joinPlaceOf } from './join-place.ts';
export { decimals, percent, significant } from './number-text.ts';
export {
  addressesToPrint,
  readInputFile,
  readOptionBytes,
  readOptionFile,
  requireOutputs,
  saveFile,
  saveJson,
  tlsOf,
  tokenFrom,
} from './option-files.ts';
export * from './options.ts';
export { type Column, formatTable } from './table.ts';
