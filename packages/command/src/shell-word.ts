/** Words of a command line as a shell takes them. */

/** One word: zsh looks for files where a `?` stands, and `&` ends a command. */
export function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A token as it stands before a command, where no list of processes shows it; nothing without one. */
export function tokenBefore(token: string | undefined): string {
  return token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
}
