/** The order in which classes and categories are numbered. */

/** Returns the distinct names, in numeric order if all are numbers, else by their UTF-16 code units, as `sort` does. */
export function sortedNames(names: Iterable<string>): string[] {
  const different = [...new Set(names)].sort();
  const areNumbers = different.every((name) => name !== '' && Number.isFinite(Number(name)));
  return areNumbers ? different.sort((a, b) => Number(a) - Number(b)) : different;
}
