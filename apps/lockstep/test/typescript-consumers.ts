/** TypeScript projects that use the packages, each with different settings. */

export interface Consumer {
  readonly title: string;
  readonly source: string;
  readonly options: object;
}

const anywhere = [
  'tensor',
  'nn',
  'data',
  'data/shown',
  'data/readers',
  'protocol',
  'rules',
  'compute',
  'command/options',
  'onnx',
  'train',
];
const inNode = [
  ...anywhere,
  'worker',
  'worker/internal',
  'tensor/node',
  'data/files',
  'data/node',
  'tfjs-node',
  'fleet',
  'command',
  'train/command-line',
  'train/internal',
  'sim',
  'tensor/node-thread',
  'train/evaluation-thread',
  'train/reading-thread',
  'worker/local-worker',
  'worker/background-thread',
  'worker/options',
  'worker/own-process',
];
const inPage = [...anywhere, 'worker/browser'];

/** Every checked module, by its import name. */
export const checkedModules = [...new Set([...inNode, ...inPage])].map((name) => `@lockstep/${name}`);

/** A module whose types contain every export of these packages. */
function useOf(names: readonly string[]): string {
  const imports = names.map((name, index) => `import * as module${index} from '@lockstep/${name}';\n`);
  return `${imports.join('')}export const modules = { ${names.map((_, index) => `module${index}`).join(', ')} };\n`;
}

const nodeNext = { module: 'nodenext', moduleResolution: 'nodenext' };
const bundler = { module: 'esnext', moduleResolution: 'bundler' };

export const consumers: readonly Consumer[] = [
  { title: 'Node, nodenext', source: useOf(inNode), options: { ...nodeNext, lib: ['ES2023'], types: ['node'] } },
  { title: 'Node, bundler', source: useOf(inNode), options: { ...bundler, lib: ['ES2023'], types: ['node'] } },
  {
    title: 'a page, bundler',
    source: useOf(inPage),
    options: { ...bundler, lib: ['ES2023', 'DOM'], types: [], customConditions: ['browser'] },
  },
  {
    title: 'a page, bundler that does not say so',
    source: useOf(inPage),
    options: { ...bundler, lib: ['ES2023', 'DOM'], types: [] },
  },
];
