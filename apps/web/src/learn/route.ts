/** Which view the address asks for: the run, or a chapter of the lesson behind `#learn`. */
import { signal } from '@preact/signals';

/** The chapter's id, empty for the first one; undefined for the run. */
export const chapterInAddress = signal(readChapter());

addEventListener('hashchange', () => {
  chapterInAddress.value = readChapter();
});

function readChapter(): string | undefined {
  return /^#learn(?:\/([a-z-]*))?$/
    .exec(location.hash)
    ?.slice(1)
    .map((id = '') => id)[0];
}
