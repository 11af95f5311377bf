/** The error of a request that cannot be met. */

import { shownLine } from '@lockstep/files/shown';

/** An option that a sentence names, with its value if the sentence needs it, such as `backend cpu`. */
export interface NamedOption {
  readonly option: string;
  readonly value?: string;
}

/** An option for a sentence of `configurationError`, which is then named as its reader knows it. */
export function named(option: string, value?: string): NamedOption {
  return value === undefined ? { option } : { option, value };
}

/** Longer than any list of options. */
const maxMessageLength = 4_000;

type Part = string | number | NamedOption;

/** The request cannot be met: one sentence with what was expected and what came. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  /** The first option that the sentence names. */
  readonly option: string | undefined;
  readonly #parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    super(textOf(parts, (option) => option));
    this.#parts = parts;
    this.option = parts.find((part) => typeof part === 'object')?.option;
  }

  /** The same sentence for those who know the options by other names, as a command line does. */
  messageWith(nameOf: (option: string) => string): string {
    return textOf(this.#parts, nameOf);
  }
}

/** A tag for templates: `${named('batch')}: expected at most 10, got ${batch}`. */
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
