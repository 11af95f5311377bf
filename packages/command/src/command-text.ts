/** Our commands as a user types them in a shell: with npm in a clone of the repository, otherwise with npx. */

type Environment = Readonly<Record<string, string | undefined>>;

/** @param environment its LOCKSTEP_COMMAND, set by `npx lockstep`, says how the command is typed */
export function commandText(name: string, args = '', environment: Environment = process.env): string {
  const typed = environment['LOCKSTEP_COMMAND'];
  const command = typed !== undefined ? `${typed} ${name}` : name === 'start' ? 'npm start' : `npm run ${name}`;
  if (args === '') return command;
  return typed !== undefined ? `${command} ${args}` : `${command} -- ${args}`;
}

/** Quotes a word if a shell would change it: zsh expands `?`, and `&` ends a command. */
export function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A token as an environment variable before a command, to keep it out of process lists; empty without a token. */
export function tokenBefore(token: string | undefined): string {
  return token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
}
