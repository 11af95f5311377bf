/** Our commands as a person types them in a shell: by npm in a clone of the repository, by npx elsewhere. */

type Environment = Readonly<Record<string, string | undefined>>;

/** @param environment where `npx lockstep` says how it is typed, as LOCKSTEP_COMMAND */
export function commandText(name: string, args = '', environment: Environment = process.env): string {
  const typed = environment['LOCKSTEP_COMMAND'];
  const command = typed !== undefined ? `${typed} ${name}` : name === 'start' ? 'npm start' : `npm run ${name}`;
  if (args === '') return command;
  return typed !== undefined ? `${command} ${args}` : `${command} -- ${args}`;
}

/** One word: zsh looks for files where a `?` stands, and `&` ends a command. */
export function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A token as it stands before a command, where no list of processes shows it; nothing without one. */
export function tokenBefore(token: string | undefined): string {
  return token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
}
