/** Runs a program so that no signal, and no death of this process's parent, leaves it running. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** The code with which programs end after any of these signals; those that are still loading have no handler. */
const interruptedCode = 130;
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const parentCheckMs = 250;

/** Ends the running program; undefined while there is none. */
let end;
/** The signal that this process received; SIGTERM if its parent has ended. */
let received;

function onSignal(signal) {
  received = signal;
  if (end === undefined) process.exit(interruptedCode);
  end(signal);
}

for (const signal of signals) process.on(signal, () => onSignal(signal));

// npm may be killed, or a shell between npm and this process may end without forwarding a signal.
if (process.env['npm_lifecycle_event'] !== undefined) {
  const parent = process.ppid;
  const check = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(check);
    onSignal('SIGTERM');
  }, parentCheckMs);
  check.unref();
}

/**
 * Resolves with how the program ended; if a signal ended it, ends this process too.
 * @param options those of `spawn`; `group` makes the program a process group, whose members all get the signals;
 * `output` is called with its output, if that does not go to the terminal; `onStart` with its process id
 */
export function runChild(program, args, { group = false, output, onStart, ...options } = {}) {
  const isGroup = group && process.platform !== 'win32';
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: output ? ['ignore', 'pipe', 'pipe'] : 'inherit',
      detached: isGroup,
      ...options,
    });
    if (child.pid !== undefined) onStart?.(child.pid);
    end = (signal) => {
      try {
        if (isGroup) process.kill(-child.pid, signal);
        else child.kill(signal);
      } catch (error) {
        // The program has just ended.
        if (error.code !== 'ESRCH') throw error;
      }
    };
    const finish = (result) => {
      end = undefined;
      resolve(result);
    };
    for (const stream of output ? [child.stdout, child.stderr] : []) stream.setEncoding('utf8').on('data', output);
    child.on('error', (error) => finish({ code: 1, error }));
    child.on('close', (code, signal) => {
      const killedCode = signal === received ? interruptedCode : 128 + constants.signals[signal];
      finish({ code: code ?? killedCode, signal: received });
    });
  });
}
