/** The commands that use a saved model or a transcript, by name. */
import { runMain } from '@lockstep/command';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { auditFile } from './audit.ts';
import { evaluate } from './evaluate.ts';
import { generateText } from './generate.ts';
import { predictFiles } from './predict.ts';
import { exportModel } from './saved-model.ts';

const commands = { evaluate, predict: predictFiles, generate: generateText, export: exportModel, audit: auditFile };

setEngineFlags();

const [name, ...args] = process.argv.slice(2);
await runMain('lockstep', () => commands[name as keyof typeof commands](args));
