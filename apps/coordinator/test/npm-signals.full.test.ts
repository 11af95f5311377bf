/** Signals to npm, and to the script that it starts. */
import { describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { canListProcesses, startNpm, startProgram } from './processes.ts';

/** A run that never ends by itself. */
const endless = [...(await tinyArgs(temporaryFolder())), '--epochs', '1000000', '--port', '0'];

// The shell that npm starts would not forward a signal, so package.json replaces it by the program with `exec`.
describe.runIf(canListProcesses)('a signal to npm alone ends all that it has started', () => {
  it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('%s', async (signal) => {
    const program = startNpm(['start', '--', ...endless, '--workers', '1']);
    await program.printed(/^ {2}epoch 1\/1000000 /m);
    // The script, the coordinator and a worker.
    expect(program.offspring().length).toBeGreaterThanOrEqual(3);
    program.kill(signal);
    await program.ended;
    await vi.waitFor(() => expect(program.offspring()).toEqual([]), { timeout: 60_000 });
  });
});

it.runIf(canListProcesses)('kill -9 of the script that npm starts ends the program', async () => {
  const script = startProgram(process.execPath, ['scripts/lockstep.mjs', 'start', ...endless, '--workers', '1']);
  await script.printed(/^ {2}epoch 1\/1000000 /m);
  expect(script.offspring()).toHaveLength(2);
  script.kill('SIGKILL');
  await vi.waitFor(() => expect(script.offspring()).toEqual([]), { timeout: 60_000 });
});
