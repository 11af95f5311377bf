import { afterEach, describe, expect, it, vi } from 'vitest';
import { readCommandLine, version } from '../src/command-line.ts';
import { generalOptions } from '../src/common-options.ts';
import { whole } from '../src/option.ts';

const command = {
  name: 'start',
  args: '[options]',
  summary: 'Trains.',
  options: {
    workers: { kind: whole(), help: 'workers' },
    'weight-decay': { kind: whole(), help: 'decay' },
    ...generalOptions,
  },
};

/** Captures stdout from now on; returns a function that returns the text so far. */
function captured(): () => string {
  let text = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => {
    text += part;
    return true;
  });
  return () => text;
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe('readCommandLine', () => {
  it('gives the values and prints nothing', () => {
    const text = captured();
    expect(readCommandLine(command, ['--workers', '3'])).toMatchObject({ workers: 3, help: false, version: false });
    expect(text()).toBe('');
  });

  it.each(['-h', '--help'])('prints the help for %s', (option) => {
    const text = captured();
    expect(readCommandLine(command, [option])).toBeUndefined();
    expect(text()).toMatch(/^npm start -- \[options\]\n\nTrains\.\n\n {2}--workers N/);
  });

  it('prints the version', () => {
    const text = captured();
    expect(readCommandLine(command, ['--version'])).toBeUndefined();
    expect(text()).toBe(`${version}\n`);
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('names options that npm kept for itself', () => {
    vi.stubEnv('npm_config_workers', 'true');
    vi.stubEnv('npm_config_weight_decay', '0.1');
    expect(() => readCommandLine(command, ['3'])).toThrow(
      '--workers and --weight-decay: npm needs -- before options: npm start -- [options]',
    );
  });

  it('takes settings of npm for nothing else', () => {
    vi.stubEnv('npm_config_version', '1');
    expect(readCommandLine(command, [])).toMatchObject({ workers: undefined });
  });
});
