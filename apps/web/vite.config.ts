import { defineConfig } from 'vite';
import { compressedFiles } from './scripts/compressed-files.ts';
import { digitsFile } from './scripts/digits.ts';

/** Our packages have no side effects on import: an engine that the dashboard only names must not be bundled. */
const rolldownOptions = { treeshake: { moduleSideEffects: (id: string) => !/\/packages\/[a-z]+\/dist\//.test(id) } };

// Workspace packages are used as built, from their dist folders.
export default defineConfig({
  // Relative, because the coordinator may serve the page at any address.
  base: './',
  plugins: [digitsFile(), compressedFiles()],
  build: {
    target: ['chrome123', 'edge123', 'firefox128', 'safari17.5'],
    // Nothing inline: the page's Content-Security-Policy forbids data: scripts and styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // gpu.js is larger, but only tabs that compute on the GPU load it.
    chunkSizeWarningLimit: 700,
    rolldownOptions,
  },
  worker: { format: 'es', rolldownOptions },
});
