/** The command that goes on with a run that was cut off. */
import type { CommandName } from './options.ts';

const commandLines: Readonly<Record<CommandName, string>> = {
  start: 'npm start --',
  coordinator: 'npm run coordinator --',
};

/** @param args as the run was started with, `--checkpoint` among them */
export function resumeCommand(name: CommandName, args: readonly string[]): string {
  const all = args.includes('--resume') ? args : [...args, '--resume'];
  return [commandLines[name], ...all.map(quoted)].join(' ');
}

/** For a POSIX shell, as it is where that changes nothing. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
