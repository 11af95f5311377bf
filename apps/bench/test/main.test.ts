/** The built command: the help, and mistakes that end it at once with exit code 2. */
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
  expect(stdout).toMatch(/^npm run bench -- \[options\]\n/);
  expect(stdout).toContain('gradient-step');
});

test.each([
  [
    ['--benchmark', 'speed'],
    '--benchmark: expected names of gradient-step, matmul, cnn-step, page with commas between them, each once, got speed',
  ],
  [['--rounds', 'many'], '--rounds: expected a whole number from 1 to 10000, got many'],
  [
    ['--report', '/no/such/folder/r.json'],
    '--report: /no/such/folder/r.json: expected a file in a folder that exists, got nothing there at /no/such/folder',
  ],
])('%j is one sentence on stderr and exit code 2, with nothing measured', async (args, message) => {
  expect(await bench(...args)).toEqual({ code: 2, stdout: '', stderr: `lockstep: ${message}\n` });
});
