/** Runs every program in README.md and the guides as written. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { documentedPrograms as programs } from './documents.ts';

/** Folder from which the program's imports are resolved. */
const cwd = fileURLToPath(new URL('..', import.meta.url));

let stopping = new AbortController();
afterEach(() => {
  stopping.abort();
  stopping = new AbortController();
});

async function run(program: string) {
  // Any free port will do instead of the program's.
  const source = program.replace('listen(8080,', 'listen(0,');
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { cwd, signal: stopping.signal });
  child.on('error', () => {});
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code, stderr, lines: stdout.trimEnd().split('\n') };
}

describe('the documents', () => {
  it('show two programs', () => {
    expect(programs).toHaveLength(2);
  });

  it('trains with a worker that joins, and alone with the same weights', async () => {
    const { code, stderr, lines } = await run(programs[0]!);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines).toEqual([
      expect.stringMatching(/^w1 a helper joined \(node, cpu\)$/),
      expect.stringMatching(/^epoch 1: 0\.\d+$/),
      expect.stringMatching(/^the run is finished [0-9a-f]{64}$/),
      'true',
    ]);
  });

  it('serves a run beside a page of its own', async () => {
    const { code, stderr, lines } = await run(programs[1]!);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines).toEqual([
      expect.stringMatching(/^the dashboard: http:\/\/127\.0\.0\.1:\d+\/lockstep\/#admin=/),
      '20',
    ]);
  });
});
