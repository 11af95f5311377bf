import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { digitsFile } from '../web/scripts/digits.ts';
import page from '../web/vite.config.ts';

// The page's own build, of another entry and without compressed copies, which many hosts make themselves.
export default defineConfig({
  ...page,
  root: fileURLToPath(new URL('train', import.meta.url)),
  plugins: [digitsFile()],
  build: { ...page.build, outDir: '../dist/train', emptyOutDir: true },
});
