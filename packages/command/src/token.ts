/** The token of a run, from where it can be given: an option, a file, or the environment. */
import { readFileSync } from 'node:fs';
import { usageFailure } from './failure.ts';
import { Expected, lineOption, textOption, type ValuesOf, withDefaultText } from './option.ts';

const maxTokenLength = 256;
const { parse } = lineOption('TOKEN', '', maxTokenLength);

/** The options that give a token. @param otherwise how the token comes about without them */
export function tokenOptions(description: string, otherwise: string) {
  return {
    token: withDefaultText(lineOption('TOKEN', description, maxTokenLength), otherwise),
    'token-file': textOption('FILE', 'file with the token, which then stands in no list of processes'),
  };
}

type TokenOptions = ValuesOf<ReturnType<typeof tokenOptions>>;

/** The options come before `LOCKSTEP_TOKEN`. @throws CommandFailure with exit code 2 */
export function tokenFrom({ token, 'token-file': file }: TokenOptions, environment: string | undefined) {
  if (token !== undefined && file !== undefined) {
    throw usageFailure('--token-file: expected without --token, which gives the token as well');
  }
  if (file !== undefined) return checked(`--token-file ${file}`, readToken(file));
  if (token !== undefined) return token;
  return environment === undefined || environment === '' ? undefined : checked('LOCKSTEP_TOKEN', environment);
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw usageFailure(`--token-file: expected a file that can be read, got ${file}`);
  }
}

function checked(source: string, text: string): string {
  try {
    return parse(text) ?? text;
  } catch (error) {
    if (error instanceof Expected) throw usageFailure(`${source}: expected ${error.message}`);
    throw error;
  }
}
