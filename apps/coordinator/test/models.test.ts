import { describe, expect, test } from 'vitest';
import { runInside } from './processes.ts';

describe('--summary', () => {
  test('shows the layers and trains nothing', async () => {
    const { code, stdout, stderr } = await runInside('coordinator', ['start', '--summary', '--model', 'cnn']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Total: 11,274 parameters');
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^Total:/);
  });

  test('shows the model as it is for the data', async () => {
    const { code, stdout } = await runInside('coordinator', ['start', '--summary', '--data', 'docs/iris.csv']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^iris\.csv: 150 rows/);
    expect(stdout).toContain('Total: 1,027 parameters');
  });
});
