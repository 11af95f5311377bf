/** A real Chromium with a page that Vite builds or develops, for tests and measurements in a browser. */
export { findChromium } from './find.ts';
export { browserFlags, type OpenPage, openBuiltPage, openDevelopmentPage, type PageOptions } from './page.ts';
export { inChromium } from './suite.ts';
