/** `generate`: continues a text with a saved model, and prints it while it is written. */
import { generalOptions, libraryOptions, readCommandLine, shownLine, usageFailure } from '@lockstep/command';
import { DataError } from '@lockstep/data';
import { errorMessage } from '@lockstep/data/shown';
import { generateOptions } from '@lockstep/train/command-line';
import { loadOptions, openModel } from './saved-model.ts';

const options = { ...loadOptions, ...generateOptions, ...generalOptions } as const;

const commandLine = {
  name: 'generate',
  args: '--load FILE.safetensors [options]',
  summary: 'Continues a text with a saved model, token by token.',
  options,
} as const;

/** @returns the exit code */
export async function generateText(args: readonly string[]): Promise<number> {
  const values = readCommandLine(commandLine, args);
  if (!values) return 0;
  const model = await openModel(values);
  const { prompt } = values;
  try {
    const texts = model.generate(libraryOptions(generateOptions, values));
    const first = await texts.next();
    process.stdout.write(shown(prompt));
    for (let next = first; !next.done; next = await texts.next()) process.stdout.write(shown(next.value));
    process.stdout.write('\n');
  } catch (error) {
    const option = error instanceof DataError ? '--prompt' : `--load ${values.load}`;
    throw usageFailure(`${option}: ${errorMessage(error)}`);
  } finally {
    model.dispose();
  }
  return 0;
}

/** A text in which nothing but line breaks and tabs controls the terminal. */
function shown(text: string): string {
  return text.replaceAll(/[^\n\t]+/g, (part) => shownLine(part));
}
