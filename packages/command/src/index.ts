/** The command line of every app: options as a table, files, one sentence for bad input, results in columns. */
export { shownLine } from '@lockstep/data/shown';
export {
  commandLineNames,
  helpText,
  libraryOptions,
  optionTables,
  parseOptions,
  readCommandLine,
  version,
} from './command-line.ts';
export * from './common-options.ts';
export { fleetOf, joinLines, portLines, takePart } from './joining.ts';
export {
  addressesToPrint,
  isModelFile,
  modelText,
  readInputFile,
  readOptionBytes,
  readOptionFile,
  requireOutputs,
  saveFile,
  saveJson,
  tlsOf,
  tokenFrom,
} from './option-files.ts';
export { type Column, decimals, formatTable, percent, significant, wrapText } from './printed.ts';
export {
  CommandFailure,
  commandText,
  interruptedCode,
  onInterruption,
  runMain,
  shellWord,
  usageFailure,
} from './program.ts';
