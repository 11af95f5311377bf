/** Offers a file that was made in this page as a download. */

/** Object URL of the last file, kept because a browser may still be reading it after the click. */
let lastAddress: string | undefined;

export function download(name: string, content: Blob): void {
  if (lastAddress !== undefined) URL.revokeObjectURL(lastAddress);
  const address = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  lastAddress = address;
}
