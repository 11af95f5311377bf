/** The view that the address selects: the run, or `#room`, a chapter in `#learn`, or the live network in `#inside`. */
import { signal } from '@preact/signals';

/** The chapter's id, empty for the first one; undefined in other views. */
export const chapterInAddress = signal(readChapter());

/** The part of the live network, empty for the first one; undefined for other views. */
export const partInAddress = signal(readPart());

/** Whether the address selects the view for a projector. */
export const isRoomInAddress = signal(readIsRoom());

addEventListener('hashchange', () => {
  chapterInAddress.value = readChapter();
  partInAddress.value = readPart();
  isRoomInAddress.value = readIsRoom();
});

function readIsRoom(): boolean {
  return new URLSearchParams(location.hash.slice(1)).has('room');
}

function readChapter(): string | undefined {
  return idBehind(/^#learn(?:\/([a-z-]*))?$/);
}

function readPart(): string | undefined {
  return idBehind(/^#inside(?:\/([a-z]*))?$/);
}

/** Returns the id in the address, empty if it is omitted; undefined if the address does not match the form. */
function idBehind(form: RegExp): string | undefined {
  const match = form.exec(location.hash);
  return match ? (match[1] ?? '') : undefined;
}
