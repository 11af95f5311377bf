/** How a person types one of our commands: by npm in a clone of the repository, by npx elsewhere. */

type Environment = Readonly<Record<string, string | undefined>>;

/** @param environment where `npx lockstep` says how it is typed, as LOCKSTEP_COMMAND */
export function commandText(name: string, args = '', environment: Environment = process.env): string {
  const typed = environment['LOCKSTEP_COMMAND'];
  const command = typed !== undefined ? `${typed} ${name}` : name === 'start' ? 'npm start' : `npm run ${name}`;
  if (args === '') return command;
  return typed !== undefined ? `${command} ${args}` : `${command} -- ${args}`;
}
