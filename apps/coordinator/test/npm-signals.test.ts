import { describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { canListProcesses, startNpm } from './processes.ts';

const tiny = await tinyArgs(temporaryFolder());

// The shell that npm starts would not pass a signal on: package.json replaces it by the program.
describe.runIf(canListProcesses)('a signal to npm alone ends all that it has started', () => {
  it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('%s', async (signal) => {
    const program = startNpm(['start', '--', ...tiny, '--epochs', '1000000', '--port', '0']);
    await program.printed(/^ {2}epoch 1\/1000000 /m);
    // The script, the coordinator and two workers.
    expect(program.offspring().length).toBeGreaterThanOrEqual(4);
    program.kill(signal);
    await program.ended;
    await vi.waitFor(() => expect(program.offspring()).toEqual([]), { timeout: 60_000 });
  });
});
