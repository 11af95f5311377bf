/** VitePress's own theme with the fonts of the system and the colors of the page, kept for offline reading. */
import { type Theme, withBase } from 'vitepress';
import DefaultTheme from 'vitepress/theme-without-fonts';
import { workOffline } from '../../work-offline.ts';
import './style.css';

export default {
  extends: DefaultTheme,
  enhanceApp({ router }) {
    if (import.meta.env.SSR) return;
    void workOffline(withBase('/service-worker.js'));
    // Shows the colors that were chosen on the page that trains, if the browser brings this page back as it was.
    addEventListener('pageshow', ({ persisted }) => {
      const [storageArea, key] = [localStorage, 'vitepress-theme-appearance'];
      const newValue = localStorage.getItem(key);
      if (persisted) dispatchEvent(new StorageEvent('storage', { storageArea, key, newValue }));
    });
    // Absolute, since the address changes without a load.
    const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
    icon?.setAttribute('href', icon.href);
    // The theme marks the content of all pages but the front page as such.
    router.onAfterPageLoad = () => document.querySelector('.VPHome')?.setAttribute('role', 'main');
  },
} satisfies Theme;
