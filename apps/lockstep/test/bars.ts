/** A model that recognizes bars, and helpers that the tests of the commands share. */

import { CommandFailure } from '@lockstep/command';
import { classField, scaledField } from '@lockstep/data';
import { describeModel, type Model, numberedClasses, parameterCount, parseModel, writeModelFile } from '@lockstep/nn';
import { expect, vi } from 'vitest';

const side = 28;

/** One dense layer over images of 28 x 28, in which class c is a bright column 2c, as in the tiny data set. */
export const bars: Model = parseModel({ name: 'bars', input: [side * side], layers: [{ type: 'dense', units: 10 }] });

const weights = new Float32Array(parameterCount(bars));
for (let row = 0; row < side; row++) {
  for (let label = 0; label < 10; label++) weights[(row * side + 2 * label) * 10 + label] = 1;
}

/** @param changed metadata that differs from a file of `--save`; undefined omits a key */
export function barsFile(changed: Readonly<Record<string, string | undefined>> = {}): Uint8Array {
  const names = numberedClasses(10).map((digit) => `bar ${digit}`);
  const said = describeModel(
    { samples: scaledField([side, side, 1]), targets: { ...classField, names } },
    { lockstep: '0.1.0', seed: 1, steps: 0, weightsSha256: '' },
  );
  const { weightsSha256: _, ...rest } = said;
  const entries = Object.entries({ ...rest, ...changed }).filter(([, value]) => value !== undefined);
  return writeModelFile(bars, weights, Object.fromEntries(entries) as Record<string, string>);
}

/** The picture of a class: u8, [28, 28]. */
export function barPixels(label: number): Uint8Array {
  return Uint8Array.from({ length: side * side }, (_, index) => (index % side === 2 * label ? 200 : 0));
}

/** The exit code and the output of a command. */
export async function printed(
  command: () => Promise<number>,
): Promise<{ readonly code: number; readonly stdout: string }> {
  let stdout = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text;
    return true;
  });
  try {
    return { code: await command(), stdout };
  } finally {
    write.mockRestore();
  }
}

/** Expects the command to end with one sentence and exit code 2, without output. */
export async function expectRefusal(command: () => Promise<number>, message: RegExp): Promise<void> {
  let failure: unknown;
  const { stdout } = await printed(async () => {
    try {
      return await command();
    } catch (error) {
      failure = error;
      return 0;
    }
  });
  expect(stdout).toBe('');
  expect(failure).toBeInstanceOf(CommandFailure);
  expect(failure).toMatchObject({ exitCode: 2, message: expect.stringMatching(message) });
  expect((failure as Error).message).not.toContain('\n');
}
