/** Gives a file that was made in this page to the person. */

/** Of the last file: a browser may still be reading it when the click is over. */
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
