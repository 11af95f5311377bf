/**
 * The commands of the product. Each runs the program of the package `@lockstep/APP-command`, in the folder `apps/APP`.
 */
export const commands = {
  start: {
    does: 'trains a network on this machine: a coordinator and local workers',
    app: 'coordinator',
    args: ['start'],
  },
  coordinator: {
    does: 'waits for workers and trains with those that join',
    app: 'coordinator',
    args: ['coordinator'],
  },
  worker: { does: 'joins a coordinator', app: 'worker', args: [] },
  relay: {
    does: 'joins a coordinator for workers of its own, and sends one gradient for all of them',
    app: 'relay',
    args: [],
  },
  evaluate: { does: 'measures a saved model on test samples', app: 'model', args: ['evaluate'] },
  predict: { does: 'says what a saved model sees in pictures', app: 'model', args: ['predict'] },
  export: { does: 'writes a saved model as ONNX', app: 'model', args: ['export'] },
};

/** One line for each command, in columns. */
export function commandLines(table) {
  const width = Math.max(...Object.keys(table).map(({ length }) => length)) + 2;
  return Object.entries(table)
    .map(([command, { does }]) => `  ${command.padEnd(width)}${does}\n`)
    .join('');
}
