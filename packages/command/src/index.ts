/** The command line of every app: options as a table, files, one sentence for bad input, results in columns. */
export {
  bytesText,
  decimals,
  durationText,
  measured,
  percent,
  plural,
  shownLine,
  significant,
  thousands,
} from '@lockstep/data/shown';
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
export {
  CommandFailure,
  commandText,
  formatTable,
  interruptedCode,
  onInterruption,
  type PrintedColumn,
  runMain,
  shellWord,
  usageFailure,
  wrapText,
} from './program.ts';
