/** Whether the address asks for the live network, behind `#inside`, and for which part of it. */
import { signal } from '@preact/signals';

/** The part's id, empty for the first one; undefined for other views. */
export const partInAddress = signal(readPart());

addEventListener('hashchange', () => {
  partInAddress.value = readPart();
});

function readPart(): string | undefined {
  return /^#inside(?:\/([a-z]*))?$/
    .exec(location.hash)
    ?.slice(1)
    .map((id = '') => id)[0];
}
