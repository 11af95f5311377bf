/** The chunks that a page loads for a module, as Vite bundles and minifies it. */
import { build } from 'vite';

export interface Chunk {
  readonly code: string;
  /** Whether it loads with the page, not only on demand. */
  readonly isLoadedAtStart: boolean;
}

/** @param entry module in `root` */
export async function bundle(root: string, entry: string): Promise<Chunk[]> {
  const built = await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      rolldownOptions: { input: entry, preserveEntrySignatures: 'strict' },
    },
  });
  if (!('output' in built)) throw new Error('expected one bundle, got several or none');
  const chunks = built.output.flatMap((part) => (part.type === 'chunk' ? [part] : []));
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const atStart = new Set<string>();
  const load = (fileName: string): void => {
    if (atStart.has(fileName)) return;
    atStart.add(fileName);
    for (const imported of byName.get(fileName)?.imports ?? []) load(imported);
  };
  for (const chunk of chunks) if (chunk.isEntry) load(chunk.fileName);
  return chunks.map(({ code, fileName }) => ({ code, isLoadedAtStart: atStart.has(fileName) }));
}
