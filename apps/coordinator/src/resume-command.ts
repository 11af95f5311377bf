/** The command that resumes an interrupted run. */
import { commandText } from '@lockstep/command';
import type { runCommands } from '@lockstep/train/command-line';

export type CommandName = keyof typeof runCommands;

/** @param args the arguments that started the run, including `--checkpoint` */
export function resumeCommand(name: CommandName, args: readonly string[]): string {
  // A fleet resumes from its newest checkpoint by itself.
  const isFleet = args.some((arg) => arg === '--fleet' || arg.startsWith('--fleet='));
  const all = isFleet || args.includes('--resume') ? args : [...args, '--resume'];
  return commandText(name, all.map((arg) => quoted(withoutLogin(arg))).join(' '));
}

/** Removes user and password from a fleet's address, since they must not be printed. */
function withoutLogin(text: string): string {
  return text.replaceAll(/\b(nats|tls):\/\/[^/,@]*@/g, '$1://');
}

/** Quotes a word for a POSIX shell, if it needs quotes. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
