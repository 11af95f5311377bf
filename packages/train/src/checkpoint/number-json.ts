/** JSON that keeps infinities and NaN, which the losses of a model that diverges may be. */

const tag = 'nonFinite';

export function stringifyNumbers(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'number' && !Number.isFinite(item) ? { [tag]: String(item) } : item,
  );
}

export function parseNumbers(text: string): unknown {
  return JSON.parse(text, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && tag in item ? Number(item[tag]) : item,
  );
}
