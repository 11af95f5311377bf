import { defineConfig } from 'vite';
import { compressedFiles } from './scripts/compressed-files.ts';
import { digitsFile } from './scripts/digits.ts';

/** Our packages only define things when they are imported: the dashboard must not carry an engine that it only names. */
const rolldownOptions = { treeshake: { moduleSideEffects: (id: string) => !/\/packages\/[a-z]+\/dist\//.test(id) } };

// Workspace packages come as turborepo has built them: in their dist folders.
export default defineConfig({
  // The coordinator serves the page, whatever address it has.
  base: './',
  plugins: [digitsFile(), compressedFiles()],
  build: {
    target: ['chrome123', 'edge123', 'firefox128', 'safari17.5'],
    // Nothing inline: the page's Content-Security-Policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // gpu.js is larger, and comes only to a tab that computes on the GPU.
    chunkSizeWarningLimit: 700,
    rolldownOptions,
  },
  worker: { format: 'es', rolldownOptions },
});
