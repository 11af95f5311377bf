/** A template for HTML that escapes every text put into it. */

export interface Markup {
  readonly markup: string;
}

type Part = Markup | string | number | readonly Part[];

/** `<p>${text}</p>`: escapes strings and numbers; inserts markup and lists of markup unchanged. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { markup: strings.reduce((text, next, index) => text + textOf(parts[index - 1]!) + next) };
}

function textOf(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') {
    return `${part}`.replace(/[&<>"]/g, (character) => escapes[character]!);
  }
  return 'markup' in part ? part.markup : part.map(textOf).join('');
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
