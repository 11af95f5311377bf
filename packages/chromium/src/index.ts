/** A real Chromium with a page that Vite has built and minified, for tests and measurements in a browser. */
export { findChromium } from './find.ts';
export { browserFlags, type OpenPage, openBuiltPage, type PageOptions } from './page.ts';
export { inChromium } from './suite.ts';
