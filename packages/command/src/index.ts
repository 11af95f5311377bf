/** The command line, the same for every app: options as a table, their files, bad input as one sentence, results as columns. */
export { shownLine } from '@lockstep/files/shown';
export { addressesToPrint, addressFileOptions } from './address-file.ts';
export { type CommandLine, generalOptions, readCommandLine } from './command-line.ts';
export { commandText } from './command-text.ts';
export { type DataOptions, dataOptions, type OptionSize, readerOptionsOf } from './data-options.ts';
export { CommandFailure, errorMessage, runMain, usageFailure } from './failure.ts';
export {
  announceOptions,
  type FleetOptionValues,
  fleetFailure,
  fleetOf,
  fleetOptions,
  joinPlaceOf,
  requireFleet,
} from './fleet-options.ts';
export { helpText } from './help.ts';
export { joinFailure } from './join-failure.ts';
export { decimals, percent, significant } from './number-text.ts';
export {
  choice,
  coordinatorUrl,
  Expected,
  fraction,
  lineOption,
  numberFrom,
  type Option,
  type Options,
  operands,
  positiveNumber,
  switchOption,
  textOption,
  type ValuesOf,
  wholeNumber,
  withDefaultText,
  withFallback,
} from './option.ts';
export { readInputFile, readOptionBytes, readOptionFile, requireOutputs, saveFile, saveJson } from './option-files.ts';
export { isGiven, parseOptions } from './parse.ts';
export { shellWord, tokenBefore } from './shell-word.ts';
export { type Column, formatTable } from './table.ts';
export { tlsOf, tlsOptions } from './tls-options.ts';
export { tokenFrom, tokenOptions } from './token.ts';
export { version } from './version.ts';
