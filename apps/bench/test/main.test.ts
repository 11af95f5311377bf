/** The built command as a person meets it: the help, and mistakes that end at once with exit code 2. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

function bench(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('--help goes to stdout and is no failure', async () => {
  const { code, stdout, stderr } = await bench('--help');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^Usage: npm run bench/);
  expect(stdout).toContain('gradient-step');
});

test.each([
  [
    ['--question', 'speed'],
    "--question: expected 'gradient-step', 'matmul', 'cnn-step', 'page', 'star', 'star-room' or 'heap', got 'speed'\n",
  ],
  [['--rounds', 'many'], "--rounds: expected a whole number from 1 to 10000, got 'many'\n"],
  [
    ['--report', '/no/such/folder/r.json'],
    "--report: expected a file in an existing folder, got '/no/such/folder/r.json'\n",
  ],
])('%j is one sentence on stderr and exit code 2, with nothing measured', async (args, message) => {
  expect(await bench(...args)).toEqual({ code: 2, stdout: '', stderr: message });
});
