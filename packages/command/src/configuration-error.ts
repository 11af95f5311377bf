/** The error of an impossible request. */

import { shownLine } from '@lockstep/files/shown';

/** An option in a sentence, with its value if the sentence needs it, such as `backend cpu`. */
export interface NamedOption {
  readonly option: string;
  readonly value?: string;
}

/** Names an option in a sentence of `configurationError`: each reader sees their own name for it. */
export function named(option: string, value?: string): NamedOption {
  return value === undefined ? { option } : { option, value };
}

/** Longer than any list of options. */
const maxMessageLength = 4_000;

type Part = string | number | NamedOption;

/** An impossible request: one sentence with the expected value and the actual one. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  /** The first option in the sentence. */
  readonly option: string | undefined;
  readonly #parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    super(textOf(parts, (option) => option));
    this.#parts = parts;
    this.option = parts.find((part) => typeof part === 'object')?.option;
  }

  /** The same sentence with other option names, such as those of a command line. */
  messageWith(nameOf: (option: string) => string): string {
    return textOf(this.#parts, nameOf);
  }
}

/** A template tag: `${named('batch')}: expected at most 10, got ${batch}`. */
export function configurationError(texts: TemplateStringsArray, ...values: Part[]): ConfigurationError {
  return new ConfigurationError(texts.flatMap((text, index) => [text, values[index] ?? '']));
}

function textOf(parts: readonly Part[], nameOf: (option: string) => string): string {
  const words = parts.map((part) => {
    if (typeof part !== 'object') return `${part}`;
    return part.value === undefined ? nameOf(part.option) : `${nameOf(part.option)} ${part.value}`;
  });
  return shownLine(words.join(''), maxMessageLength);
}
