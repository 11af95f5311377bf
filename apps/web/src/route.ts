/** Which view the address asks for: the run, the room's behind `#room`, a chapter behind `#learn`, or the live network behind `#inside`. */
import { signal } from '@preact/signals';

/** The chapter's id, empty for the first one; undefined for the run. */
export const chapterInAddress = signal(readChapter());

/** The part of the live network, empty for the first one; undefined for other views. */
export const partInAddress = signal(readPart());

/** Whether it is the view for a projector. */
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

/** What the address has at the form's place; empty where it has nothing there, undefined where it has another form. */
function idBehind(form: RegExp): string | undefined {
  const match = form.exec(location.hash);
  return match ? (match[1] ?? '') : undefined;
}
