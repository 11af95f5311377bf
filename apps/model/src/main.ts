/** The commands that use a model, by name. */
import { runMain } from '@lockstep/command';
import { evaluate } from './evaluate/command.ts';
import { exportModel } from './export/command.ts';
import { predict } from './predict/command.ts';

const commands = { evaluate, predict, export: exportModel };

const [name, ...args] = process.argv.slice(2);
await runMain('lockstep', () => commands[name as keyof typeof commands](args));
