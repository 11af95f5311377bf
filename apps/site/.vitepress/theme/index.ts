/** VitePress's own theme with the fonts of the system and the colors of the page, kept for offline reading. */
import { type Theme, withBase } from 'vitepress';
import DefaultTheme from 'vitepress/theme-without-fonts';
import './style.css';

export default {
  extends: DefaultTheme,
  enhanceApp() {
    if (!import.meta.env.SSR) void navigator.serviceWorker?.register(withBase('/service-worker.js'));
  },
} satisfies Theme;
