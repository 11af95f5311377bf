/** The command that goes on with a run that was cut off. */
import { commandText } from '@lockstep/command';
import type { runCommands } from '@lockstep/train/command-line';

export type CommandName = keyof typeof runCommands;

/** @param args as the run was started with, `--checkpoint` among them */
export function resumeCommand(name: CommandName, args: readonly string[]): string {
  // A fleet goes on from its newest checkpoint by itself.
  const isFleet = args.some((arg) => arg === '--fleet' || arg.startsWith('--fleet='));
  const all = isFleet || args.includes('--resume') ? args : [...args, '--resume'];
  return commandText(name, all.map((arg) => quoted(withoutLogin(arg))).join(' '));
}

/** A fleet's address may have a user and a password, which are not printed. */
function withoutLogin(text: string): string {
  return text.replaceAll(/\b(nats|tls):\/\/[^/,@]*@/g, '$1://');
}

/** For a POSIX shell, as it is where that changes nothing. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
