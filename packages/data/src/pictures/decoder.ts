/** Interface between the pictures of a data set and their decoder: sharp in Node, the browser in a page. */

/** Size in pixels. */
export interface PictureSize {
  /** Size after the orientation tag is applied. */
  readonly width: number;
  readonly height: number;
}

/** Facts about an encoded picture, known before it is decoded. */
export interface PictureInfo extends PictureSize {
  /** Whether red, green and blue are equal in each pixel. */
  readonly isGray: () => Promise<boolean>;
}

/** If the aspect ratio differs, cover crops edges, contain adds black ones, and stretch distorts. */
export type PictureFit = 'cover' | 'contain' | 'stretch';

/** Form that a picture is decoded to. */
export interface PictureForm extends PictureSize {
  /** 1: gray; 3: red, green and blue. */
  readonly channels: 1 | 3;
  readonly fit: PictureFit;
}

/**
 * Decodes PNG, JPEG and WebP files.
 * Each method throws an Error with a sentence if the bytes are in another format or damaged.
 */
export interface PictureDecoder {
  readonly describe: (bytes: Uint8Array) => Promise<PictureInfo>;
  /** Returns u8 [height, width, channels] in new memory; transparent parts become white. */
  readonly decode: (bytes: Uint8Array, form: PictureForm) => Promise<Uint8Array>;
}
