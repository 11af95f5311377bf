/** Programs to copy, each a file that uses only the library's public entries. */

export interface Program {
  /** The name to type, which is also the file's name. */
  readonly name: string;
  readonly title: string;
  /** Runs the program and resolves when it has ended: a program is a module that runs when it is imported. */
  readonly run: () => Promise<unknown>;
}

export const programs: readonly Program[] = [
  { name: 'iris', title: 'A table in a CSV file', run: () => import('./programs/iris.ts') },
  { name: 'pictures', title: 'A folder of pictures for each class', run: () => import('./programs/pictures.ts') },
  {
    name: 'xor-in-eight-lines',
    title: 'The smallest run, on arrays in memory',
    run: () => import('./programs/xor-in-eight-lines.ts'),
  },
  { name: 'layer-list', title: 'A model of your own layers', run: () => import('./programs/layer-list.ts') },
  {
    name: 'early-stopping',
    title: 'Stops when the test loss no longer falls',
    run: () => import('./programs/early-stopping.ts'),
  },
  {
    name: 'learning-rate-sweep',
    title: 'Three learning rates in one table',
    run: () => import('./programs/learning-rate-sweep.ts'),
  },
  { name: 'own-server', title: 'A run on an HTTP server of your own', run: () => import('./programs/own-server.ts') },
  { name: 'own-page', title: 'A page of your own, whose tabs compute', run: () => import('./programs/own-page.ts') },
];
