/** Which view the address asks for: the run, the room's behind `#room`, or a chapter of the lesson behind `#learn`. */
import { signal } from '@preact/signals';

/** The chapter's id, empty for the first one; undefined for the run. */
export const chapterInAddress = signal(readChapter());

/** Whether it is the view for a projector. */
export const isRoomInAddress = signal(readIsRoom());

addEventListener('hashchange', () => {
  chapterInAddress.value = readChapter();
  isRoomInAddress.value = readIsRoom();
});

function readIsRoom(): boolean {
  return new URLSearchParams(location.hash.slice(1)).has('room');
}

function readChapter(): string | undefined {
  return /^#learn(?:\/([a-z-]*))?$/
    .exec(location.hash)
    ?.slice(1)
    .map((id = '') => id)[0];
}
