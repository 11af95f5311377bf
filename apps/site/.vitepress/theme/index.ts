/** VitePress's own theme with the fonts of the system and the colors of the page, kept for offline reading. */
import { type Theme, withBase } from 'vitepress';
import DefaultTheme from 'vitepress/theme-without-fonts';
import './style.css';

export default {
  extends: DefaultTheme,
  enhanceApp({ router }) {
    if (import.meta.env.SSR) return;
    void navigator.serviceWorker?.register(withBase('/service-worker.js'));
    // Absolute, since the address changes without a load.
    const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
    icon?.setAttribute('href', icon.href);
    // The theme marks the content of all pages but the front page as such.
    router.onAfterPageLoad = () => document.querySelector('.VPHome')?.setAttribute('role', 'main');
  },
} satisfies Theme;
