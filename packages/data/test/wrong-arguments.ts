/** Asks every function of a module what it says of wrong arguments: one sentence of its own, never an internal error. */
import { expect, test } from 'vitest';

const wrong: readonly unknown[] = [null, undefined, {}, [], 'x', -1.5, Number.NaN, true, () => 0];

/** A message that a person can read: one line that says what was expected, or what cannot be done. */
const sentence = /^[^\n]*\b(expected|must|cannot|needs|unknown|missing|differ|no such)\b[^\n]*$/;
/** Messages of the engine itself. */
const internal = /is not (a function|iterable|defined)|Cannot (read|destructure|use|convert)|argument must be of type/;

type AnyFunction = (...given: readonly unknown[]) => unknown;

/**
 * @param rights right arguments of each function; a class has none
 * @param unasked functions that take anything, or that a step calls often
 */
export function askEvery(
  module: object,
  rights: Readonly<Record<string, readonly unknown[]>>,
  unasked: readonly string[],
): void {
  const functions = Object.entries(module).filter(
    (entry): entry is [string, AnyFunction] => typeof entry[1] === 'function' && !/^class\b/.test(String(entry[1])),
  );

  test('every function is asked', () => {
    const names = functions.map(([name]) => name).filter((name) => !unasked.includes(name));
    expect(Object.keys(rights).sort()).toEqual(names.sort());
  });

  test.each(Object.entries(rights))(
    '%s takes right arguments, and says in a sentence what is wrong',
    async (name, right) => {
      const [, run] = functions.find(([each]) => each === name)!;
      await run(...right);
      const faults: string[] = [];
      const attempts = [
        ...wrong.map((value) => right.map(() => value)),
        ...right.flatMap((_, position) => wrong.map((value) => right.with(position, value))),
      ];
      for (const given of attempts) {
        try {
          await run(...given);
        } catch (error) {
          const { message } = error as Error;
          if (error instanceof TypeError || !sentence.test(message) || internal.test(message)) {
            faults.push(`${name}(${given.map((value) => typeof value).join(', ')}): ${error}`);
          }
        }
      }
      expect(faults).toEqual([]);
    },
  );
}
