import { defineConfig } from 'vite';

/** The script and the style sheet that the page of `npm run compare` holds. */
export default defineConfig({
  build: {
    lib: {
      entry: 'page/compare.tsx',
      name: 'compare',
      formats: ['iife'],
      fileName: () => 'compare.js',
      cssFileName: 'compare',
    },
    outDir: 'dist/page',
    target: ['chrome123', 'edge123', 'firefox128', 'safari17.5'],
    // The chapters of the lesson, of which the page has only the exhibits, have no side effects on import.
    rolldownOptions: { treeshake: { moduleSideEffects: (id: string) => !/\/packages\/[a-z]+\/dist\//.test(id) } },
  },
});
